#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# In a guest whose disks are blank: lays them out. Done once; the lab keeps the images and
# gives each later guest a copy. The file systems are found again by their labels.
set -eu

# Regions come up in any order: the handle of the nvdimm behind it says which one it is.
region_of()
{
	for region in /sys/bus/nd/devices/region*; do
		dimm=$(cut -d , -f 1 "$region/mapping0")
		if [ "$(($(cat "/sys/bus/nd/devices/$dimm/nfit/handle")))" = "$1" ]; then
			basename "$region" | tr -dc 0-9
			return
		fi
	done
	echo "there is no persistent memory with handle $1" >&2
	return 1
}

ext4=$(region_of 1)
xfs=$(region_of 2)
dev=$(region_of 3)
ndctl create-namespace -f -e "namespace$ext4.0" -m fsdax >/dev/null
ndctl create-namespace -f -e "namespace$xfs.0" -m fsdax >/dev/null
ndctl create-namespace -f -e "namespace$dev.0" -m devdax >/dev/null

# Laid out so that files can have pieces of 2 MiB, which DAX maps as one.
mkfs.ext4 -q -L lab-dax-ext4 -b 4096 -E stride=512,stripe_width=512 "/dev/pmem$ext4"
mkfs.xfs -q -f -L lab-dax-xfs -m reflink=1 -l size=64m -d agcount=2,su=2m,sw=1,extszinherit=512 \
	"/dev/pmem$xfs"
mkfs.ext4 -q -L lab-disk -b 4096 /dev/vda
sync
