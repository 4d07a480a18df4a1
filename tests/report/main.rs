// SPDX-License-Identifier: Apache-2.0
//! From a report of the books to what people and programs read.

mod accounting;
mod building;
mod fixtures;
mod shape;
mod showing;
mod summary;
mod timing;
mod work;
