// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Parameters and faults as words of a line, `name=value` each. What is at its default is left out.

use esnic_abi::Params;
use esnic_model::{Fatal, Faults, Stuck, Trigger};
use std::fmt::{Display, Write};
use std::str::FromStr;

/// Parameters of a device as words.
#[must_use]
pub fn params_text(params: &Params) -> String {
    let Params {
        sa_capacity,
        queue_pairs,
        ring_log2,
        direct_log2,
        stage_log2,
        max_window,
        features,
        algs,
    } = params;
    format!(
        "sa_capacity={sa_capacity} queue_pairs={queue_pairs} ring_log2={ring_log2} \
         direct_log2={direct_log2} stage_log2={stage_log2} max_window={max_window} \
         features={features} algs={algs}"
    )
}

/// The parameters that these words say.
///
/// # Errors
/// If a word is none of them.
pub fn params(text: &str) -> Result<Params, String> {
    let mut params = Params::default();
    for word in words(text) {
        let (name, value) = word?;
        match name {
            "sa_capacity" => params.sa_capacity = number(name, value)?,
            "queue_pairs" => params.queue_pairs = number(name, value)?,
            "ring_log2" => params.ring_log2 = number(name, value)?,
            "direct_log2" => params.direct_log2 = number(name, value)?,
            "stage_log2" => params.stage_log2 = number(name, value)?,
            "max_window" => params.max_window = number(name, value)?,
            "features" => params.features = number(name, value)?,
            "algs" => params.algs = number(name, value)?,
            _ => return Err(format!("`{name}` is no parameter")),
        }
    }
    Ok(params)
}

/// Faults as words.
#[must_use]
pub fn faults_text(faults: &Faults) -> String {
    let Faults {
        fail_read,
        poison_read,
        fail_write,
        lose_write,
        drop_completion,
        duplicate_completion,
        corrupt_completion,
        corrupt_mask,
        delay_cycles,
        verify_add,
        verify_delete,
        stuck,
        gone,
        spurious_interrupt,
        fatal,
    } = faults;
    let mut text = Text(String::new());
    text.trigger("fail_read", fail_read);
    text.trigger("poison_read", poison_read);
    text.trigger("fail_write", fail_write);
    text.trigger("lose_write", lose_write);
    text.trigger("drop_completion", drop_completion);
    text.trigger("duplicate_completion", duplicate_completion);
    text.trigger("corrupt_completion", corrupt_completion);
    text.trigger("verify_add", verify_add);
    text.trigger("verify_delete", verify_delete);
    text.put("corrupt_mask", u128::from_le_bytes(*corrupt_mask));
    text.put("delay_cycles", delay_cycles);
    match stuck {
        Stuck::No => {}
        Stuck::UntilReset => text.put("stuck", "until-reset"),
        Stuck::Always => text.put("stuck", "always"),
    }
    text.put("gone", u8::from(*gone));
    if let Some(vector) = spurious_interrupt {
        text.put("spurious_interrupt", vector);
    }
    if let Some(Fatal { cause, info }) = fatal {
        text.put("fatal", format_args!("{cause}:{info}"));
    }
    text.0
}

/// The faults that these words say.
///
/// # Errors
/// If a word is none of them.
pub fn faults(text: &str) -> Result<Faults, String> {
    let mut faults = Faults::default();
    for word in words(text) {
        let (name, value) = word?;
        match name {
            "fail_read" => faults.fail_read = trigger(value)?,
            "poison_read" => faults.poison_read = trigger(value)?,
            "fail_write" => faults.fail_write = trigger(value)?,
            "lose_write" => faults.lose_write = trigger(value)?,
            "drop_completion" => faults.drop_completion = trigger(value)?,
            "duplicate_completion" => faults.duplicate_completion = trigger(value)?,
            "corrupt_completion" => faults.corrupt_completion = trigger(value)?,
            "verify_add" => faults.verify_add = trigger(value)?,
            "verify_delete" => faults.verify_delete = trigger(value)?,
            "corrupt_mask" => faults.corrupt_mask = number::<u128>(name, value)?.to_le_bytes(),
            "delay_cycles" => faults.delay_cycles = number(name, value)?,
            "stuck" if value == "until-reset" => faults.stuck = Stuck::UntilReset,
            "stuck" if value == "always" => faults.stuck = Stuck::Always,
            "gone" => faults.gone = number::<u8>(name, value)? == 1,
            "spurious_interrupt" => faults.spurious_interrupt = Some(number(name, value)?),
            "fatal" => {
                let (cause, info) = pair(value)?;
                faults.fatal = Some(Fatal { cause, info });
            }
            _ => return Err(format!("`{name}={value}` is no fault")),
        }
    }
    Ok(faults)
}

struct Text(String);

impl Text {
    fn put(&mut self, name: &str, value: impl Display) {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(self.0, "{space}{name}={value}");
    }

    fn trigger(&mut self, name: &str, trigger: &Trigger) {
        match trigger {
            Trigger::Never => {}
            Trigger::Nth(n) => self.put(name, format_args!("nth:{n}")),
            Trigger::Every { period, seen } => {
                self.put(name, format_args!("every:{period}:{seen}"))
            }
            Trigger::Within(range) => {
                self.put(name, format_args!("within:{}:{}", range.start, range.end));
            }
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = Result<(&str, &str), String>> {
    text.split_whitespace()
        .map(|word| word.split_once('=').ok_or_else(|| format!("`{word}` has no `=`")))
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("`{name}={value}` is no number that fits"))
}

fn pair<T: FromStr>(text: &str) -> Result<(T, T), String> {
    let (first, second) = text.split_once(':').ok_or_else(|| format!("`{text}` has no `:`"))?;
    Ok((number("", first)?, number("", second)?))
}

fn trigger(text: &str) -> Result<Trigger, String> {
    match text.split_once(':') {
        Some(("nth", n)) => Ok(Trigger::Nth(number("nth", n)?)),
        Some(("every", rest)) => {
            let (period, seen) = pair(rest)?;
            Ok(Trigger::Every { period, seen })
        }
        Some(("within", rest)) => {
            let (start, end) = pair(rest)?;
            Ok(Trigger::Within(start..end))
        }
        _ => Err(format!("`{text}` is no trigger")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_back() {
        let odd = Params { sa_capacity: 32, queue_pairs: 3, features: 7, ..Params::default() };
        assert_eq!(params(&params_text(&odd)), Ok(odd));
        assert!(params("rows=5").is_err());
        assert!(params("queue_pairs=300").is_err());
    }

    #[test]
    fn faults_come_back() {
        let all = Faults {
            fail_read: Trigger::next(),
            poison_read: Trigger::Every { period: 3, seen: 2 },
            fail_write: Trigger::Within(4096..u64::MAX),
            lose_write: Trigger::Nth(7),
            drop_completion: Trigger::always(),
            duplicate_completion: Trigger::Nth(2),
            corrupt_completion: Trigger::Nth(3),
            corrupt_mask: std::array::from_fn(|k| k as u8 + 1),
            delay_cycles: 99,
            verify_add: Trigger::Nth(4),
            verify_delete: Trigger::Nth(5),
            stuck: Stuck::Always,
            gone: true,
            spurious_interrupt: Some(64),
            fatal: Some(Fatal { cause: 8, info: 0xDEAD_BEEF }),
        };
        for faults_in in
            [all, Faults::default(), Faults { stuck: Stuck::UntilReset, ..Faults::default() }]
        {
            assert_eq!(faults(&faults_text(&faults_in)), Ok(faults_in));
        }
        assert!(faults("stuck=sometimes").is_err());
        assert!(faults("fail_read=maybe").is_err());
    }
}
