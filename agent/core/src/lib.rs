//! Packets and kernel events to columns: the engine inside the Lũy Tre agent.
//!
//! Data walks through the modules in one direction:
//!
//! `capture` (ring, pcap, pcapng) → `decode` (headers) → `flow` (table, states) with `app` (DNS, TLS) → `columns` (Arrow
//! IPC), which `engine` puts together. `host` turns kernel events (eBPF, proc connector) into the same columns. `python` is the only module that
//! knows Python.

pub mod app;
pub mod capture;
pub mod columns;
pub mod decode;
pub mod engine;
pub mod flow;
pub mod host;
mod mapping;
mod memory;
pub mod schema;
pub mod signature;
pub mod signing_request;

#[cfg(feature = "python")]
mod python;
