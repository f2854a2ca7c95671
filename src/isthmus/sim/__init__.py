"""A plant of real protocol servers with time, wear, jobs, faults and the truth written aside."""
