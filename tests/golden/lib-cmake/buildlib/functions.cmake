# SPDX-License-Identifier: GPL-2.0-or-later
function(tree_library DEST SCRIPT)
  add_library(${DEST} SHARED ${ARGN})
  set_target_properties(${DEST} PROPERTIES LINK_FLAGS "-Wl,--version-script,${CMAKE_CURRENT_BINARY_DIR}/${SCRIPT}")
endfunction()
