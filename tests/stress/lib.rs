// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Nothing: this package is its test.
