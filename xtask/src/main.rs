//! What developers repeat.
fn main() {}
