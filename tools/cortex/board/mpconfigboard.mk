# Board PLUMEPROOF of MicroPython's QEMU port: Arm's MPS2 with design AN385 as QEMU emulates it, with the module's serial
# lines, flash region and host files (modmps2.c). Nothing of MicroPython itself is changed.
#   make -C ports/qemu BOARD=PLUMEPROOF CORE=m3     Thumb-2, what Cortex-M3 and M33 parts run
#   make -C ports/qemu BOARD=PLUMEPROOF CORE=m0     Thumb-1 instructions only, as an M0+ runs them, on the same machine:
#                                                   QEMU's only M0 machine has one serial line
QEMU_ARCH = arm
QEMU_MACHINE = mps2-an385
CORE ?= m3
THUMB_m3 = 2
THUMB_m0 = 1

CFLAGS += -mthumb -mcpu=cortex-$(CORE) -mfloat-abi=soft
CFLAGS += -DQEMU_SOC_MPS2 '-DMICROPY_PORT_INIT_FUNC={extern void mps2_hear(void); mps2_hear();}'
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-$(CORE)"'

LDSCRIPT = $(BOARD_DIR)/memory.ld
SRC_C += $(BOARD_DIR)/modmps2.c
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb$(THUMB_$(CORE)).o

MICROPY_HEAP_SIZE = 102400
