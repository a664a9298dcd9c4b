// Module `mps2`: what a module of ours has and the QEMU port of MicroPython does not reach: two serial lines, a
// microsecond counter, sleep until a line has a byte, a flash region, and the files of the emulated module's directory.
// firmware/boards/cortex_mps2.py is its only user; nothing else of the firmware knows of it.
//
// Registers: Arm DUI 0479 (Cortex-M System Design Kit: APB UART, APB timer), Arm DAI 0385 (AN385: memory map, FPGAIO,
// interrupts), as QEMU 7.2 emulates them. Files: Arm semihosting, which QEMU carries out on the host.
// Not imitated: baud rate, parity, driver-enable, erase time. Interrupts wake the processor and are never taken.

#include <string.h>

#include "py/mperrno.h"
#include "py/obj.h"
#include "py/runtime.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define UART(n) (0x40004000 + 0x1000 * (n)) // 1 bus, 2 uplink; 0 is the console
#define UART_DATA(n) REGISTER(UART(n) + 0x00)
#define UART_STATE(n) REGISTER(UART(n) + 0x04)
#define UART_CTRL(n) REGISTER(UART(n) + 0x08)
#define UART_INTCLEAR(n) REGISTER(UART(n) + 0x0c)
#define UART_BAUDDIV(n) REGISTER(UART(n) + 0x10)
#define STATE_TX_FULL (1)
#define STATE_RX_FULL (2)
#define CTRL_TX_EN (1)
#define CTRL_RX_EN (2)
#define CTRL_RX_INT_EN (8)
#define INT_RX (2)
#define UART_FIRST (1)
#define UART_LAST (2)

#define TIMER(n) (0x40000000 + 0x1000 * (n)) // 0 wakes, 1 counts instructions
#define TIMER_CTRL(n) REGISTER(TIMER(n) + 0x00)
#define TIMER_VALUE(n) REGISTER(TIMER(n) + 0x04)
#define TIMER_RELOAD(n) REGISTER(TIMER(n) + 0x08)
#define TIMER_INTCLEAR(n) REGISTER(TIMER(n) + 0x0c)
#define TIMER_EN (1)
#define TIMER_INT_EN (8)

#define FPGAIO_COUNTER REGISTER(0x40028018)
#define FPGAIO_PRESCALE REGISTER(0x4002801c)

#define NVIC_ENABLE REGISTER(0xe000e100)
#define NVIC_CLEAR_PENDING REGISTER(0xe000e280)
#define WAKING ((1 << 2) | (1 << 4) | (1 << 8)) // receive of UART 1 and 2, timer 0

#define CLOCK_MHZ (25)
#define WAIT_MAX_US (1000000)
#define TICKS_MASK (0x3fffffff) // as acq.ports.Clock: a small integer

#define FLASH_BASE (0x21800000) // upper half of the PSRAM; the lower half holds the ROM file system
#define FLASH_MAX_BYTES (8 << 20)
#define PROGRAM_BYTES (256)

// Arm semihosting 2.0, chapter 6

#define SYS_OPEN (0x01)
#define SYS_CLOSE (0x02)
#define SYS_WRITE (0x05)
#define SYS_READ (0x06)
#define SYS_SEEK (0x0a)
#define SYS_FLEN (0x0c)
#define SYS_REMOVE (0x0e)
#define SYS_RENAME (0x0f)
#define SYS_EXIT_EXTENDED (0x20)
#define ADP_STOPPED_APPLICATION_EXIT (0x20026)
#define MODE_RB (1)
#define MODE_RB_PLUS (3)
#define MODE_WB (5)

static int32_t call_host(uint32_t operation, const void *arguments) {
    register uint32_t number __asm__ ("r0") = operation;
    register const void *pointer __asm__ ("r1") = arguments;
    __asm__ volatile ("bkpt 0xab" : "+r" (number) : "r" (pointer) : "memory");
    return (int32_t)number;
}

static int32_t host_open(const char *path, uint32_t mode) {
    const uint32_t arguments[3] = {(uint32_t)path, mode, strlen(path)};
    return call_host(SYS_OPEN, arguments);
}

static int32_t host_transfer(uint32_t operation, int32_t handle, const void *buf, uint32_t count) {
    const uint32_t arguments[3] = {handle, (uint32_t)buf, count};
    return call_host(operation, arguments); // how many bytes were NOT moved
}

static int32_t host_handle(uint32_t operation, int32_t handle) {
    const uint32_t arguments[1] = {handle};
    return call_host(operation, arguments);
}

static int32_t host_seek(int32_t handle, uint32_t offset) {
    const uint32_t arguments[2] = {handle, offset};
    return call_host(SYS_SEEK, arguments);
}

// Files of the module's directory

// Up to `count` bytes of a file from byte `start`.
static mp_obj_t mps2_file_read(mp_obj_t path, mp_obj_t start_in, mp_obj_t count_in) {
    int32_t handle = host_open(mp_obj_str_get_str(path), MODE_RB);
    if (handle < 0) {
        mp_raise_OSError(MP_ENOENT);
    }
    int32_t start = mp_obj_get_int(start_in), size = host_handle(SYS_FLEN, handle);
    int32_t count = MIN(mp_obj_get_int(count_in), size - start), missing = -1;
    vstr_t content;
    if (start >= 0 && size >= 0 && host_seek(handle, start) == 0) {
        vstr_init_len(&content, MAX(count, 0)); // a MemoryError leaves the file open: no start survives one
        missing = host_transfer(SYS_READ, handle, content.buf, content.len);
    }
    host_handle(SYS_CLOSE, handle);
    if (missing != 0) {
        mp_raise_OSError(MP_EIO);
    }
    return mp_obj_new_bytes_from_vstr(&content);
}
static MP_DEFINE_CONST_FUN_OBJ_3(mps2_file_read_obj, mps2_file_read);

static mp_obj_t mps2_file_write(mp_obj_t path, mp_obj_t content) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(content, &info, MP_BUFFER_READ);
    int32_t handle = host_open(mp_obj_str_get_str(path), MODE_WB);
    if (handle < 0) {
        mp_raise_OSError(MP_EACCES);
    }
    int32_t missing = host_transfer(SYS_WRITE, handle, info.buf, info.len);
    if (host_handle(SYS_CLOSE, handle) != 0 || missing != 0) {
        mp_raise_OSError(MP_EIO);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(mps2_file_write_obj, mps2_file_write);

static mp_obj_t mps2_file_exists(mp_obj_t path) {
    int32_t handle = host_open(mp_obj_str_get_str(path), MODE_RB);
    if (handle >= 0) {
        host_handle(SYS_CLOSE, handle);
    }
    return mp_obj_new_bool(handle >= 0);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mps2_file_exists_obj, mps2_file_exists);

static mp_obj_t mps2_file_rename(mp_obj_t old_path, mp_obj_t new_path) {
    const char *old_name = mp_obj_str_get_str(old_path), *new_name = mp_obj_str_get_str(new_path);
    const uint32_t arguments[4] = {(uint32_t)old_name, strlen(old_name), (uint32_t)new_name, strlen(new_name)};
    if (call_host(SYS_RENAME, arguments) != 0) {
        mp_raise_OSError(MP_EIO);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(mps2_file_rename_obj, mps2_file_rename);

static mp_obj_t mps2_file_remove(mp_obj_t path) {
    const char *name = mp_obj_str_get_str(path);
    const uint32_t arguments[2] = {(uint32_t)name, strlen(name)};
    if (call_host(SYS_REMOVE, arguments) != 0) {
        mp_raise_OSError(MP_ENOENT);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(mps2_file_remove_obj, mps2_file_remove);

// `count` bytes from the host's generator: this machine has none of its own.
static mp_obj_t mps2_random(mp_obj_t count_in) {
    vstr_t content;
    vstr_init_len(&content, mp_obj_get_int(count_in));
    int32_t handle = host_open("/dev/urandom", MODE_RB);
    if (handle < 0) {
        mp_raise_OSError(MP_ENODEV);
    }
    int32_t missing = host_transfer(SYS_READ, handle, content.buf, content.len);
    host_handle(SYS_CLOSE, handle);
    if (missing != 0) {
        mp_raise_OSError(MP_EIO);
    }
    return mp_obj_new_bytes_from_vstr(&content);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mps2_random_obj, mps2_random);

static mp_obj_t mps2_exit(mp_obj_t status) {
    const uint32_t arguments[2] = {ADP_STOPPED_APPLICATION_EXIT, mp_obj_get_int(status)};
    call_host(SYS_EXIT_EXTENDED, arguments);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(mps2_exit_obj, mps2_exit);

// Time

// Called by mp_init() for the console. QEMU hears nothing more on a line where bytes waited before its UART was switched on (seen with
// 7.2, 2026-11-25); reading the data register makes it look again.
void mps2_hear(void) {
    for (int line = 0; line <= UART_LAST; ++line) {
        (void)UART_DATA(line);
    }
}

static mp_obj_t mps2_start(void) {
    __asm__ volatile ("cpsid i"); // interrupts wake, and are not taken
    FPGAIO_PRESCALE = CLOCK_MHZ - 1;
    if (!(TIMER_CTRL(1) & TIMER_EN)) { // a bench may have started it before the board does
        TIMER_RELOAD(1) = 0xffffffff;
        TIMER_VALUE(1) = 0xffffffff;
        TIMER_CTRL(1) = TIMER_EN;
    }
    for (int line = UART_FIRST; line <= UART_LAST; ++line) {
        UART_BAUDDIV(line) = CLOCK_MHZ * 1000000 / 115200;
        UART_CTRL(line) = CTRL_TX_EN | CTRL_RX_EN | CTRL_RX_INT_EN;
    }
    mps2_hear();
    NVIC_ENABLE = WAKING;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(mps2_start_obj, mps2_start);

static mp_obj_t mps2_ticks_us(void) {
    return MP_OBJ_NEW_SMALL_INT(FPGAIO_COUNTER & TICKS_MASK);
}
static MP_DEFINE_CONST_FUN_OBJ_0(mps2_ticks_us_obj, mps2_ticks_us);

// Ticks of 40 ns since start(), modulo 2**30. With `-icount shift=0` an instruction is 1 ns: 40 of them are a tick.
static mp_obj_t mps2_cycles(void) {
    return MP_OBJ_NEW_SMALL_INT((0xffffffff - TIMER_VALUE(1)) & TICKS_MASK);
}
static MP_DEFINE_CONST_FUN_OBJ_0(mps2_cycles_obj, mps2_cycles);

// Sleep until a line has a byte (True) or so many microseconds have passed (False).
static mp_obj_t mps2_wait(mp_obj_t timeout_in) {
    uint32_t timeout_us = MIN(MAX(mp_obj_get_int(timeout_in), 0), WAIT_MAX_US);
    uint32_t start_us = FPGAIO_COUNTER;
    for (;;) {
        // Cleared first, looked at afterwards: a byte that comes in between makes a new interrupt and ends the sleep.
        for (int line = UART_FIRST; line <= UART_LAST; ++line) {
            UART_INTCLEAR(line) = INT_RX;
        }
        TIMER_CTRL(0) = 0;
        TIMER_INTCLEAR(0) = 1;
        NVIC_CLEAR_PENDING = WAKING;
        for (int line = UART_FIRST; line <= UART_LAST; ++line) {
            if (UART_STATE(line) & STATE_RX_FULL) {
                return mp_const_true;
            }
        }
        uint32_t passed_us = FPGAIO_COUNTER - start_us;
        if (passed_us >= timeout_us) {
            return mp_const_false;
        }
        TIMER_RELOAD(0) = TIMER_VALUE(0) = (timeout_us - passed_us) * CLOCK_MHZ;
        TIMER_CTRL(0) = TIMER_EN | TIMER_INT_EN;
        __asm__ volatile ("wfi");
    }
}
static MP_DEFINE_CONST_FUN_OBJ_1(mps2_wait_obj, mps2_wait);

// Serial lines

static int line_of(mp_obj_t line_in) {
    int line = mp_obj_get_int(line_in);
    if (line < UART_FIRST || line > UART_LAST) {
        mp_raise_ValueError(MP_ERROR_TEXT("no such line"));
    }
    return line;
}

// Bytes that have arrived into buf from index start, as many as fit; returns how many.
static mp_obj_t mps2_uart_read(mp_obj_t line_in, mp_obj_t buf, mp_obj_t start_in) {
    int line = line_of(line_in);
    mp_buffer_info_t info;
    mp_get_buffer_raise(buf, &info, MP_BUFFER_WRITE);
    size_t start = mp_obj_get_int(start_in), at = start;
    while (at < info.len && (UART_STATE(line) & STATE_RX_FULL)) {
        ((uint8_t *)info.buf)[at++] = UART_DATA(line);
    }
    return MP_OBJ_NEW_SMALL_INT(at > start ? at - start : 0);
}
static MP_DEFINE_CONST_FUN_OBJ_3(mps2_uart_read_obj, mps2_uart_read);

// As much of buf[start:end] as the line takes now; returns how many bytes.
static mp_obj_t mps2_uart_write(size_t n_args, const mp_obj_t *args) {
    int line = line_of(args[0]);
    mp_buffer_info_t info;
    mp_get_buffer_raise(args[1], &info, MP_BUFFER_READ);
    size_t start = mp_obj_get_int(args[2]), end = mp_obj_get_int(args[3]), at = start;
    if (start > end || end > info.len) {
        mp_raise_ValueError(MP_ERROR_TEXT("outside the buffer"));
    }
    while (at < end && !(UART_STATE(line) & STATE_TX_FULL)) {
        UART_DATA(line) = ((const uint8_t *)info.buf)[at++];
    }
    return MP_OBJ_NEW_SMALL_INT(at - start);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mps2_uart_write_obj, 4, 4, mps2_uart_write);

// Flash: memory, as a part that runs code from flash reads it, with each program and erase written through to the file

static int32_t flash_handle = -1;
static uint32_t flash_bytes = 0;

static void flash_write_through(uint32_t offset, uint32_t count) {
    if (host_seek(flash_handle, offset) != 0
        || host_transfer(SYS_WRITE, flash_handle, (void *)(FLASH_BASE + offset), count) != 0) {
        mp_raise_OSError(MP_EIO);
    }
}

static uint8_t *flash_at(uint32_t offset, uint32_t count, uint32_t unit) {
    if (flash_handle < 0 || offset % unit || count % unit || offset > flash_bytes || count > flash_bytes - offset) {
        mp_raise_OSError(MP_EIO);
    }
    return (uint8_t *)(FLASH_BASE + offset);
}

// The file is made when absent and filled up with erased bytes when short. Killed while filling: the next start goes on.
static mp_obj_t mps2_flash_open(mp_obj_t path, mp_obj_t bytes_in) {
    uint32_t wanted = mp_obj_get_int(bytes_in);
    if (wanted > FLASH_MAX_BYTES) {
        mp_raise_OSError(MP_ENOSPC);
    }
    const char *name = mp_obj_str_get_str(path);
    flash_handle = host_open(name, MODE_RB_PLUS);
    if (flash_handle < 0) {
        int32_t handle = host_open(name, MODE_WB);
        if (handle < 0) {
            mp_raise_OSError(MP_EACCES);
        }
        host_handle(SYS_CLOSE, handle);
        flash_handle = host_open(name, MODE_RB_PLUS);
    }
    int32_t present = host_handle(SYS_FLEN, flash_handle);
    if (present < 0) {
        mp_raise_OSError(MP_EIO);
    }
    present = MIN((uint32_t)present, wanted);
    memset((void *)(FLASH_BASE + present), 0xff, wanted - present);
    if (host_transfer(SYS_READ, flash_handle, (void *)FLASH_BASE, present) != 0) {
        mp_raise_OSError(MP_EIO);
    }
    flash_bytes = wanted;
    if (wanted > (uint32_t)present) {
        flash_write_through(present, wanted - present);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(mps2_flash_open_obj, mps2_flash_open);

static mp_obj_t mps2_flash_read(mp_obj_t offset_in, mp_obj_t buf) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buf, &info, MP_BUFFER_WRITE);
    memcpy(info.buf, flash_at(mp_obj_get_int(offset_in), info.len, 1), info.len);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(mps2_flash_read_obj, mps2_flash_read);

static mp_obj_t mps2_flash_program(mp_obj_t offset_in, mp_obj_t buf) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buf, &info, MP_BUFFER_READ);
    uint32_t offset = mp_obj_get_int(offset_in);
    uint8_t *flash = flash_at(offset, info.len, PROGRAM_BYTES);
    for (uint32_t start = 0; start < info.len; start += PROGRAM_BYTES) {
        for (uint32_t at = start; at < start + PROGRAM_BYTES; ++at) {
            flash[at] &= ((const uint8_t *)info.buf)[at];
        }
        // Killed before: unit unchanged in the file; after: unit programmed; the units behind it are still as they were
        flash_write_through(offset + start, PROGRAM_BYTES);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(mps2_flash_program_obj, mps2_flash_program);

static mp_obj_t mps2_flash_erase(mp_obj_t offset_in, mp_obj_t count_in) {
    uint32_t offset = mp_obj_get_int(offset_in), count = mp_obj_get_int(count_in);
    memset(flash_at(offset, count, PROGRAM_BYTES), 0xff, count);
    for (uint32_t start = 0; start < count; start += PROGRAM_BYTES) {
        flash_write_through(offset + start, PROGRAM_BYTES); // killed in between: the first units are erased in the file
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(mps2_flash_erase_obj, mps2_flash_erase);

static const mp_rom_map_elem_t mps2_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_mps2) },
    { MP_ROM_QSTR(MP_QSTR_start), MP_ROM_PTR(&mps2_start_obj) },
    { MP_ROM_QSTR(MP_QSTR_ticks_us), MP_ROM_PTR(&mps2_ticks_us_obj) },
    { MP_ROM_QSTR(MP_QSTR_cycles), MP_ROM_PTR(&mps2_cycles_obj) },
    { MP_ROM_QSTR(MP_QSTR_wait), MP_ROM_PTR(&mps2_wait_obj) },
    { MP_ROM_QSTR(MP_QSTR_uart_read), MP_ROM_PTR(&mps2_uart_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_uart_write), MP_ROM_PTR(&mps2_uart_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_flash_open), MP_ROM_PTR(&mps2_flash_open_obj) },
    { MP_ROM_QSTR(MP_QSTR_flash_read), MP_ROM_PTR(&mps2_flash_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_flash_program), MP_ROM_PTR(&mps2_flash_program_obj) },
    { MP_ROM_QSTR(MP_QSTR_flash_erase), MP_ROM_PTR(&mps2_flash_erase_obj) },
    { MP_ROM_QSTR(MP_QSTR_file_read), MP_ROM_PTR(&mps2_file_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_file_write), MP_ROM_PTR(&mps2_file_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_file_exists), MP_ROM_PTR(&mps2_file_exists_obj) },
    { MP_ROM_QSTR(MP_QSTR_file_rename), MP_ROM_PTR(&mps2_file_rename_obj) },
    { MP_ROM_QSTR(MP_QSTR_file_remove), MP_ROM_PTR(&mps2_file_remove_obj) },
    { MP_ROM_QSTR(MP_QSTR_random), MP_ROM_PTR(&mps2_random_obj) },
    { MP_ROM_QSTR(MP_QSTR_exit), MP_ROM_PTR(&mps2_exit_obj) },
};
static MP_DEFINE_CONST_DICT(mps2_globals, mps2_globals_table);

const mp_obj_module_t mps2_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mps2_globals,
};

MP_REGISTER_MODULE(MP_QSTR_mps2, mps2_module);
