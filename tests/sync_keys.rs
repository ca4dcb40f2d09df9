// SPDX-License-Identifier: Apache-2.0 OR MIT
//! No key of any capture is ever in what the command prints, in whatever mode and notation.

mod sync;

use sync::{File, Ran, esnic, esnic_fed, files, truth, wire};

/// So many bytes of a key in a row count as shown.
const SHOWN: usize = 8;

/// Every notation of every run of a key's bytes, as bytes to look for.
fn notations(key: &[u8]) -> Vec<Vec<u8>> {
    let joined = |bytes: &[u8], between: &str, form: fn(&u8) -> String| {
        bytes.iter().map(form).collect::<Vec<_>>().join(between).into_bytes()
    };
    let mut all = Vec::new();
    for part in key.windows(SHOWN.min(key.len())) {
        let turned: Vec<u8> = part.iter().rev().copied().collect();
        all.push(part.to_vec());
        for bytes in [part, &turned] {
            all.push(joined(bytes, "", |byte| format!("{byte:02x}")));
            all.push(joined(bytes, " ", |byte| format!("{byte:02x}")));
            all.push(joined(bytes, ":", |byte| format!("{byte:02x}")));
            all.push(joined(bytes, ", ", |byte| format!("{byte:02x}")));
            all.push(joined(bytes, ", ", |byte| format!("{byte}")));
            all.push(joined(bytes, ",", |byte| format!("{byte}")));
            all.push(joined(bytes, ", ", |byte| format!("0x{byte:02x}")));
        }
    }
    all
}

/// Output as it is looked through: small letters, and no line breaks within lists.
fn plain(output: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(output.len());
    for byte in output.to_ascii_lowercase() {
        let follows_space = plain.last() == Some(&b' ');
        match byte {
            b'\n' | b' ' if follows_space => {}
            b'\n' => plain.push(b' '),
            other => plain.push(other),
        }
    }
    plain
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|part| part == wanted)
}

/// The first of these notations that an output shows.
fn shown<'n>(output: &[u8], notations: &'n [Vec<u8>]) -> Option<&'n Vec<u8>> {
    let text = plain(output);
    notations.iter().find(|wanted| contains(&text, wanted) || contains(output, wanted))
}

/// The keys in a capture, long enough to be told from anything else.
fn secrets(file: &File) -> Vec<Vec<u8>> {
    let keys = truth::keys(&file.data);
    let mut all: Vec<_> = keys.iter().flat_map(|key| notations(key)).collect();
    all.sort();
    all.dedup();
    all
}

#[track_caller]
fn check(ran: &Ran, secrets: &[Vec<u8>], place: &str) {
    assert!(ran.out.len() + ran.err.len() > 20, "{place}: it said nothing");
    for output in [&ran.out[..], ran.err.as_bytes()] {
        let found = shown(output, secrets).map(|key| String::from_utf8_lossy(key));
        assert_eq!(found, None, "{place}");
    }
}

#[test]
fn no_mode_prints_a_key() {
    let mut with_keys = 0;
    let few = files().into_iter().filter(|file| !file.name.contains("storm"));
    for file in few {
        let secrets = secrets(&file);
        with_keys += usize::from(!secrets.is_empty());
        let locals: Vec<_> =
            file.locals().iter().flat_map(|address| ["--local", address]).collect();
        for more in [&["--json"][..], &["--verbose"], &["--verbose", "--json", "--no-dumps"]] {
            let ran = esnic([&["sync", "--capture", &file.path], &locals[..], more].concat());
            assert_eq!(ran.code, Some(0));
            check(&ran, &secrets, &format!("{} {more:?}", file.name));
        }
    }
    assert!(with_keys > 70, "{with_keys}");
}

/// Errors tell where, and not what: a capture is damaged in and around each key.
#[test]
fn no_error_prints_a_key() {
    let mut errors = 0;
    let names =
        ["v4-transport-gcm128-esn-w64/nl-A", "ah-esp-auth-v4/nl-A", "natt-espinudp-v4/nl-B"];
    for file in files().into_iter().filter(|file| names.iter().any(|name| file.name.contains(name)))
    {
        let secrets = secrets(&file);
        let places: Vec<usize> = wire::records(&file.data)
            .iter()
            // The length of the record, of the message, of its first attribute, of a key; a name.
            .flat_map(|record| {
                [8, 32, 32 + 240, 32 + 240 + 68, 32 + 240 + 4].map(|at| record.begin + at)
            })
            .collect();
        for at in places {
            let mut damaged = file.data.clone();
            let Some(byte) = damaged.get_mut(at) else {
                continue;
            };
            *byte ^= 0x81;
            let ran = esnic_fed(&["sync", "--capture", "-", "--json", "--verbose"], &damaged);
            assert!(matches!(ran.code, Some(0 | 2)), "{ran:?}");
            errors += usize::from(ran.code == Some(2));
            check(&ran, &secrets, &format!("{} damaged at {at}", file.name));
        }
    }
    assert!(errors > 100, "{errors}");
}

/// The search finds what it looks for.
#[test]
fn a_printed_key_would_be_found() {
    let key: Vec<u8> = (0xA0..0xB4).collect();
    let secrets = notations(&key);
    let hex: String = key.iter().map(|byte| format!("{byte:02X}")).collect();
    let number = u64::from_le_bytes(*key[5..].first_chunk().unwrap());
    for leak in [
        format!("key {hex} of"),
        format!("{:?}", &key[3..15]),
        format!("{:#?}", &key[3..15]),
        format!("{:02x?}", &key[3..15]),
        format!("{number:#x}"),
    ] {
        assert!(shown(leak.as_bytes(), &secrets).is_some(), "{leak}");
    }
    assert!(shown(&key[4..12], &secrets).is_some());
    assert!(shown(b"spi 0x0000a0a1, seq a0a1a2a3a4a5", &secrets).is_none());
}
