"""Modbus RTU client: crc16, pdu (requests and answers), rtu (frames and silent intervals), client (one transaction).

MODBUS Application Protocol V1.1b3 (2012) and MODBUS over Serial Line V1.02 (2006). Functions 01 to 04, client only.
"""
