// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `esnic sync` on the compiled RTL says what it says on the model, on every real capture.
//! `cargo xtask test` builds the command with the RTL in it; without there is nothing to compare.
#![cfg(feature = "rtl")]

mod sync;

use serde_json::Value;
use sync::{File, files, object, sync};

/// The command's JSON on one device, without the device's name.
fn said(file: &File, locals: bool, more: &[&str]) -> Value {
    let mut object = object(&sync(file, locals, more));
    let device = object.as_object_mut().and_then(|fields| fields.remove("device"));
    assert!(device.is_some(), "{}: no device is named", file.name);
    object
}

#[track_caller]
fn same(locals: bool, more: &[&str]) {
    let all = files();
    assert!(all.len() >= 77, "{} captures", all.len());
    for file in &all {
        let on = |device| said(file, locals, &[more, &["--device", device]].concat());
        assert_eq!(on("rtl"), on("model"), "{}", file.name);
    }
}

#[test]
fn every_capture_gives_the_same_as_on_the_model() {
    same(true, &[]);
}

#[test]
fn so_it_does_without_the_dumps() {
    same(true, &["--no-dumps"]);
}

#[test]
fn so_it_does_where_directions_have_to_be_found() {
    same(false, &[]);
}
