// SPDX-License-Identifier: GPL-2.0-only
/* Recordings: the file, the records, the table, the views. */
#include "stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	stream_fold(data, size);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	if (seed % 4)
		return stream_change(data, size, max, seed / 4);
	return LLVMFuzzerMutate(data, size, max);
}
