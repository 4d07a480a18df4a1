// SPDX-License-Identifier: Apache-2.0
//! The server against a scripted engine: a thread that answers commands and
//! notes them. The client is the real one; HTTP is spoken by hand, so that it can
//! be spoken badly. Other users are threads with other credentials, as root only.

mod bench;
mod control;
mod http;
