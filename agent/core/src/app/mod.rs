//! What applications say in the open: DNS messages, the TLS ClientHello, and which protocol a payload is.
//!
//! Nothing here keeps payload. Work and memory per message are bounded, whatever its bytes claim.

pub mod detect;
pub mod dns;
mod escape;
pub mod tls;

pub use detect::detect;
