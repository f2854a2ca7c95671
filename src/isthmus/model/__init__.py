"""The words of the plant: equipment, time, status, samples, records. No I/O and no clock."""
