//! The HTTP edge: sockets in, operations out.
//!
//! | file | part |
//! |---|---|
//! | `listener` | accepts connections, bounds their number, drains them at the stop |
//! | `connection` | TLS or plain by the first byte, hyper's HTTP/1.1, timeouts |
//! | `socket` | a TCP stream that gives up on clients who stop reading, and closes without loss |
//! | `tls` | the certificate, self-made unless one is given |
//! | `heads` | heads that say two things at once |
//! | `service` | one request on the S3 port: authenticate, route, answer |
//! | `cors` | preflights, and what browsers read of every answer |
//! | `rate` | limits per access key and per source |
//! | `admin_port` | health, metrics, and the door to the admin API |

mod admin_port;
mod connection;
mod cors;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod heads;
pub mod listener;
pub mod rate;
mod service;
mod socket;
pub mod tls;
mod wiped;
