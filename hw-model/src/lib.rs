//! Executable specification of the esnic device.
