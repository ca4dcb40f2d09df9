// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A memory of which only the written part exists.
//!
//! A table of 2^20 slots costs nothing until it is used, and a reset costs what was used. Pages are
//! overwritten with zeros before they are given back, since they may hold keys (R33).

use zeroize::Zeroize;

/// Elements of a page.
const PAGE: usize = 256;

/// A memory of a fixed length whose elements are `T::default()`, "all zero", until written.
pub(crate) struct Paged<T: Zeroize> {
    pages: Vec<Option<Box<[T; PAGE]>>>,
}

impl<T: Clone + Default + Zeroize> Paged<T> {
    /// A zeroed memory of at least `len` elements.
    pub(crate) fn new(len: usize) -> Self {
        let mut pages = Vec::new();
        pages.resize_with(len.div_ceil(PAGE), || None);
        Self { pages }
    }

    /// The element at `at`; none if nothing near it was ever written.
    pub(crate) fn get(&self, at: u32) -> Option<&T> {
        let at = at as usize;
        Some(&self.pages.get(at / PAGE)?.as_ref()?[at % PAGE])
    }

    /// As [`Self::get`], for writing.
    pub(crate) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        let at = at as usize;
        Some(&mut self.pages.get_mut(at / PAGE)?.as_mut()?[at % PAGE])
    }

    /// The element at `at`, made if need be.
    ///
    /// # Panics
    /// If `at` is outside the memory.
    pub(crate) fn make(&mut self, at: u32) -> &mut T {
        let at = at as usize;
        let page = self.pages[at / PAGE].get_or_insert_with(|| {
            let zeros = vec![T::default(); PAGE].into_boxed_slice();
            zeros.try_into().unwrap_or_else(|_| unreachable!("a page has PAGE elements"))
        });
        &mut page[at % PAGE]
    }
}

impl<T: Zeroize> Paged<T> {
    /// Zeroes everything.
    pub(crate) fn clear(&mut self) {
        for page in &mut self.pages {
            if let Some(page) = page {
                page.iter_mut().for_each(Zeroize::zeroize);
            }
            *page = None;
        }
    }
}

impl<T: Zeroize> Drop for Paged<T> {
    fn drop(&mut self) {
        self.clear();
    }
}
