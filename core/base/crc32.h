/* crc32.h - the CRC-32 of zlib, Ethernet and AWS's event streams. */
#ifndef MR_BASE_CRC32_H
#define MR_BASE_CRC32_H

#include "millrace.h"

/* Of what came before and these bytes; of nothing it is 0. */
uint32_t mr_crc32(uint32_t before, mr_bytes bytes);

#endif
