// SPDX-License-Identifier: Apache-2.0
//! HTTP as people meet it: the real daemon in a scratch folder, asked by curl over
//! TLS, with and without passwords and client certificates, on Unix sockets and on
//! sockets that systemd opened.

mod activation;
mod certificates;
mod daemon;
mod login;
mod reload;
mod secrets;
mod slow;
mod sockets;
mod toolkit;
