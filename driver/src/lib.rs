//! User-space driver of the esnic SA engine.
