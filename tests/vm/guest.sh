#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# In the guest, on the host's root: mounts the disks, runs the command, and leaves its exit
# status and the kernel's log for the host. Needs /run/lab (shared with the host) with the
# command in it and, of variables, what is in /run/lab/env.
set -u

out=/run/lab
exec >"$out/guest.log" 2>&1
cut -d ' ' -f 1 /proc/uptime >"$out/up"

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=/root
export PATH HOME
. "$out/env"

# A warning has to be seen, and what hangs has to end in one. Emulation is slow.
set_kernel()
{
	echo "$2" >"/proc/sys/$1" || echo "there is no /proc/sys/$1"
}
set_kernel kernel/hung_task_timeout_secs 120
set_kernel kernel/hung_task_warnings -1
set_kernel vm/nr_hugepages "$LAB_HUGEPAGES"

# Says in the host's log why a kind of memory is missing, and goes on.
missing()
{
	echo "$*" >>"$out/missing"
}

# mount_part LABEL TYPE OPTIONS MOUNTPOINT
mount_part()
{
	mkdir -p "$4"
	if mount -t "$2" -o "$3" "LABEL=$1" "$4"; then
		chmod 1777 "$4"
	else
		missing "$4: this kernel would not mount $2 with $3"
		return 1
	fi
}

mkdir -p /mnt
mount -t tmpfs mnt /mnt
for part in $LAB_PARTS; do
	case $part in
	ext4)
		mount_part lab-dax-ext4 ext4 dax=always /mnt/dax-ext4 &&
			export HMM_DAX_EXT4=/mnt/dax-ext4
		;;
	xfs)
		mount_part lab-dax-xfs xfs dax=always /mnt/dax-xfs &&
			export HMM_DAX_XFS=/mnt/dax-xfs
		;;
	devdax)
		HMM_DEV_DAX=$(find /dev -maxdepth 1 -name 'dax*.*' | head -n 1)
		if [ -c "$HMM_DEV_DAX" ]; then
			chmod 666 "$HMM_DEV_DAX"
			export HMM_DEV_DAX
		else
			missing "device DAX: this kernel shows no /dev/daxX.Y"
		fi
		;;
	disk)
		mount_part lab-disk ext4 defaults /mnt/disk &&
			export HMM_DISK=/mnt/disk TMPDIR=/mnt/disk
		;;
	esac
done
cut -d ' ' -f 1 /proc/uptime >"$out/ready"

# For those who are nobody: the way to the tree.
dir=$LAB_TREE
while [ "$dir" != / ]; do
	[ -n "$(find "$dir" -maxdepth 0 -perm -5)" ] || chmod a+rx "$dir"
	dir=$(dirname "$dir")
done

cd "$LAB_CWD" || cd /
sh "$out/command" >"$LAB_TTY" 2>&1 </dev/null
echo $? >"$out/status.new"

cd /
umount /mnt/* 2>/dev/null
dmesg >"$out/dmesg"
mv "$out/status.new" "$out/status"
