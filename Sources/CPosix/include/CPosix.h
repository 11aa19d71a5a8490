// What Swift on Linux cannot say: starting a detached process safely, and the checksum of the journal.

#ifndef PERCH_CPOSIX_H
#define PERCH_CPOSIX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `length` bytes, continuing `crc`; 0 begins a new one.
/// Uses the CPU's instruction where it has one; both ways give the same value.
uint32_t perch_crc32c(uint32_t crc, const void *bytes, size_t length);

/// The same without the CPU's instruction, for the test that holds the two against each other.
uint32_t perch_crc32c_portable(uint32_t crc, const void *bytes, size_t length);

#endif
