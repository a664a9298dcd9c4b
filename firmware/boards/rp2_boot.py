"""Boot file of RP2 images, frozen as `_boot.py` in the place of MicroPython's own, which formats what it cannot mount.

Mounts the module's file system, 96 sectors at the start of the storage, and never formats: a file system that cannot be
mounted is evidence. It is made once, by hand, when a module is provisioned (BOARDS.md section 4).
"""

import rp2
import vfs

_FILE_SECTORS = 96  # rp2_chip.FILE_SECTORS; an image for the bench has this file only

try:
    _device = rp2.Flash(start=0, len=_FILE_SECTORS * 4096)  # type: ignore[call-arg]  # the stubs know no arguments
    vfs.mount(vfs.VfsLfs2(_device, progsize=256), "/")
except OSError as failure:
    print("file system not mounted (errno {}), nothing was formatted: BOARDS.md section 4".format(failure.errno))
