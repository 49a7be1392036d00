// bindings::r5
use kernel::bindings;
use bindings::{r2, foo as r9};
extern "C" { fn r3(x: i32) -> i32; }
use kernel::bindings as ffi;
fn u<'a>() { unsafe { bindings::r1(); r3(1); ffi::r4(); } }
