"""Read requests and what their answers must look like (MODBUS Application Protocol V1.1b3, sections 6.1 to 6.4, 7)."""

READ_COILS = 1
READ_DISCRETE_INPUTS = 2
READ_HOLDING_REGISTERS = 3
READ_INPUT_REGISTERS = 4
EXCEPTION_BIT = 0x80  # set in the function code of an exception answer
EXCEPTION_CODES = (1, 2, 3, 4, 5, 6, 8, 10, 11)  # section 7; others are no exception answer
EXCEPTION_ACKNOWLEDGE = 5  # the server needs longer
EXCEPTION_BUSY = 6  # ask again later


def data_bytes(function: int, quantity: int) -> int:
    """Register or bit bytes of a full answer."""
    return (quantity + 7) // 8 if function <= READ_DISCRETE_INPUTS else 2 * quantity


def write_request(buf, start: int, function: int, address: int, quantity: int) -> int:
    """Put a read request at buf[start:]; returns the index behind it."""
    buf[start] = function
    buf[start + 1] = address >> 8
    buf[start + 2] = address & 0xFF
    buf[start + 3] = quantity >> 8
    buf[start + 4] = quantity & 0xFF
    return start + 5
