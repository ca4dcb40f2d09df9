// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The memory of a C caller: structures that say how long they are, places for results, strings.
//!
//! A structure of an older header is shorter, and what it lacks is 0. One of a newer header is longer,
//! and what this library does not know must be 0, or the caller would be misunderstood.
//!
//! Nothing of the caller's is borrowed: it is copied in and out, byte by byte, whatever its alignment.

use crate::codes::esnic_error::ESNIC_E_SIZE;
use crate::fail::Fail;
use crate::types::{
    esnic_caps, esnic_config, esnic_item, esnic_known, esnic_outcome, esnic_report, esnic_sa,
    esnic_update,
};
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use zeroize::Zeroizing;

/// No structure will ever be longer, in bytes. A size beyond is no size.
const LONGEST: usize = 4096;

/// A structure that begins with its size.
///
/// # Safety
/// It is `repr(C)`, its first member is a `u32`, it has no padding, and any bytes make a value of it.
pub(crate) unsafe trait Record: Copy {
    /// Its length in version 1.0 of the interface, in bytes: no caller has a shorter one.
    const FIRST: usize;
    /// Its name, for people.
    const NAME: &'static str;
}

macro_rules! records {
    ($($name:ident $first:literal,)*) => {$(
        // SAFETY: `types` declares it `repr(C)`, of integers, arrays of them and pointers to bytes
        // only, `size` first; its members add up to its length.
        unsafe impl Record for $name {
            const FIRST: usize = $first;
            const NAME: &'static str = stringify!($name);
        }
        const _: () = assert!(size_of::<$name>() >= $first, "a structure never shrinks");
    )*};
}

records! {
    esnic_config 40,
    esnic_caps 128,
    esnic_sa 80,
    esnic_update 24,
    esnic_outcome 24,
    esnic_item 56,
    esnic_known 24,
    esnic_report 24,
}

/// A C caller, who has promised that its pointers are NULL or good for the call. Only a function that C
/// calls makes one.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'c>(PhantomData<&'c ()>);

/// A place for a result that lasts as long as the call.
pub(crate) struct Place<'c, T>(*mut T, PhantomData<&'c ()>);

/// A structure for a result, of the length that its caller knows.
pub(crate) struct Out<'c, T>(Option<(*mut u8, usize)>, PhantomData<(&'c (), T)>);

/// An array of structures, all of one length.
pub(crate) struct Array<'c, T> {
    first: *mut u8,
    stride: usize,
    count: usize,
    of: PhantomData<(&'c (), T)>,
}

fn null(what: &str) -> Fail {
    Fail::invalid(format!("{what} is NULL"))
}

fn size_of_record<T: Record>(size: u32) -> Result<usize, Fail> {
    let size = size as usize;
    if (T::FIRST..=LONGEST).contains(&size) {
        return Ok(size);
    }
    let (name, known) = (T::NAME, size_of::<T>());
    Err(Fail::new(ESNIC_E_SIZE, format!("size of struct {name} is {size}, should be {known}")))
}

impl<'c> Caller<'c> {
    /// # Safety
    /// Every pointer that this caller is asked about is NULL, or good for reading and writing what its
    /// type, size and count say, by this thread alone, as long as `'c`.
    pub(crate) unsafe fn trusted() -> Self {
        Self(PhantomData)
    }

    /// Copies a structure in.
    pub(crate) fn record<T: Record>(self, from: *const T) -> Result<T, Fail> {
        if from.is_null() {
            return Err(null(T::NAME));
        }
        self.record_at(from.cast())
    }

    fn size_at<T: Record>(self, from: *const u8) -> Result<usize, Fail> {
        // SAFETY: the caller's pointer is good, and every record begins with a `u32`.
        let size = unsafe { from.cast::<u32>().read_unaligned() };
        size_of_record::<T>(size)
    }

    fn record_at<T: Record>(self, from: *const u8) -> Result<T, Fail> {
        let size = self.size_at::<T>(from)?;
        for at in size_of::<T>()..size {
            // SAFETY: below the size that the caller says the structure has.
            let place = unsafe { from.add(at) };
            // SAFETY: as above.
            let byte = unsafe { place.read() };
            if byte != 0 {
                let text =
                    format!("struct {} uses members that this library does not know", T::NAME);
                return Err(Fail::new(ESNIC_E_SIZE, text));
            }
        }
        let mut record = MaybeUninit::<T>::zeroed();
        let len = size.min(size_of::<T>());
        // SAFETY: `len` is neither more than the caller has nor more than `record` has, and `record`
        // is ours alone.
        unsafe { from.copy_to_nonoverlapping(record.as_mut_ptr().cast(), len) };
        // SAFETY: any bytes make a `Record`, and all are initialised.
        Ok(unsafe { record.assume_init() })
    }

    /// A structure for a result, which may be NULL.
    pub(crate) fn out<T: Record>(self, to: *mut T) -> Result<Out<'c, T>, Fail> {
        if to.is_null() {
            return Ok(Out(None, PhantomData));
        }
        let size = self.size_at::<T>(to.cast())?;
        Ok(Out(Some((to.cast(), size)), PhantomData))
    }

    /// A structure for a result, which must be there.
    pub(crate) fn out_there<T: Record>(self, to: *mut T) -> Result<Out<'c, T>, Fail> {
        if to.is_null() { Err(null(T::NAME)) } else { self.out(to) }
    }

    /// A place for a number.
    pub(crate) fn place<T: Copy>(self, to: *mut T, what: &str) -> Result<Place<'c, T>, Fail> {
        if to.is_null() { Err(null(what)) } else { Ok(Place(to, PhantomData)) }
    }

    /// A place for a number that the caller may not want.
    pub(crate) fn place_if<T: Copy>(self, to: *mut T) -> Option<Place<'c, T>> {
        (!to.is_null()).then_some(Place(to, PhantomData))
    }

    /// `count` structures, which all have the length of the first.
    pub(crate) fn array<T: Record>(self, first: *mut T, count: u32) -> Result<Array<'c, T>, Fail> {
        let count = count as usize;
        if count == 0 {
            return Ok(Array { first: first.cast(), stride: 0, count, of: PhantomData });
        }
        if first.is_null() {
            return Err(null(T::NAME));
        }
        let stride = self.size_at::<T>(first.cast())?;
        Ok(Array { first: first.cast(), stride, count, of: PhantomData })
    }

    /// A string.
    pub(crate) fn string(self, from: *const c_char, what: &str) -> Result<String, Fail> {
        if from.is_null() {
            return Err(null(what));
        }
        // SAFETY: the caller's pointer is good, and ended by a 0.
        let text = unsafe { CStr::from_ptr(from) };
        let text = text.to_str().map_err(|_| Fail::invalid(format!("{what} is not UTF-8")))?;
        Ok(text.to_owned())
    }

    /// `N` or fewer bytes that are wiped when they are dropped; behind a box, so that moving them
    /// leaves no copy.
    pub(crate) fn secret<const N: usize>(
        self,
        from: *const u8,
        len: usize,
        what: &str,
    ) -> Result<Box<Zeroizing<[u8; N]>>, Fail> {
        if from.is_null() {
            return Err(null(what));
        }
        let mut bytes = Box::new(Zeroizing::new([0; N]));
        let len = len.min(N);
        // SAFETY: the caller has `len` bytes there, and the box has room for them.
        unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), len) };
        Ok(bytes)
    }

    /// Copies numbers out, as many as fit.
    pub(crate) fn list(self, to: *mut u64, room: u32, list: &[u64]) {
        for (k, &number) in list.iter().take(room as usize).enumerate() {
            // SAFETY: there is room for `room` numbers, and `k` is below that.
            let place = unsafe { to.add(k) };
            Place(place, PhantomData).put(number);
        }
    }

    /// Copies a text out, cut off where the buffer ends, with a 0 behind it.
    pub(crate) fn text(self, to: *mut c_char, size: usize, text: &str) {
        let Some(most) = size.checked_sub(1).filter(|_| !to.is_null()) else { return };
        let mut len = most.min(text.len());
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        // SAFETY: `len` is below `size`, which is what the caller has.
        unsafe { text.as_ptr().copy_to_nonoverlapping(to.cast(), len) };
        // SAFETY: as above.
        let end = unsafe { to.add(len) };
        Place(end, PhantomData).put(0);
    }
}

impl<T: Copy> Place<'_, T> {
    /// Writes it.
    pub(crate) fn put(&self, value: T) {
        // SAFETY: only `Caller` makes places, of pointers that its caller vouches for.
        unsafe { self.0.write_unaligned(value) };
    }
}

impl<T: Record> Out<'_, T> {
    /// Writes what the caller knows of it; what only the caller knows is 0; `size` stays.
    pub(crate) fn put(&self, value: &T) {
        let Some((to, size)) = self.0 else { return };
        put_record(to, size, value);
    }
}

fn put_record<T: Record>(to: *mut u8, size: usize, value: &T) {
    let begin = size_of::<u32>();
    let len = size.min(size_of::<T>());
    // SAFETY: inside the value, which has at least its size.
    let from = unsafe { std::ptr::from_ref(value).cast::<u8>().add(begin) };
    // SAFETY: inside the caller's structure, which is at least that long.
    let place = unsafe { to.add(begin) };
    // SAFETY: both are at least `len` bytes long; the value is ours, so they do not overlap.
    unsafe { from.copy_to_nonoverlapping(place, len - begin) };
    // SAFETY: `len` is not beyond the caller's structure.
    let rest = unsafe { to.add(len) };
    // SAFETY: the rest of it.
    unsafe { rest.write_bytes(0, size - len) };
}

impl<T: Record> Array<'_, T> {
    /// Number of structures.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Copies structure `k` in.
    pub(crate) fn get(&self, k: usize) -> Result<T, Fail> {
        let at = self.at(k);
        let caller = Caller(PhantomData);
        if caller.size_at::<T>(at)? != self.stride {
            let text = format!("struct {} {k} has another size than the first", T::NAME);
            return Err(Fail::new(ESNIC_E_SIZE, text));
        }
        caller.record_at(at)
    }

    /// Writes structure `k`.
    pub(crate) fn put(&self, k: usize, value: &T) {
        put_record(self.at(k), self.stride, value);
    }

    fn at(&self, k: usize) -> *mut u8 {
        assert!(k < self.count, "no structure {k} of {}", self.count);
        // SAFETY: the caller has `count` structures of `stride` bytes, one behind the other.
        unsafe { self.first.add(k * self.stride) }
    }
}

#[cfg(test)]
#[path = "foreign/tests.rs"]
mod tests;
