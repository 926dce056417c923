//! The log under crashes, damage and lost mirrors, on simulated drives.

mod crash;
mod damage;
mod failover;
pub(crate) mod rig;
