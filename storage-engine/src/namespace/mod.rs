//! The namespace: rows, the commands that change them, and how they are encoded.

pub mod bucket_config;
pub mod command;
pub mod drive_health;
pub mod drives;
pub mod encoding;
pub mod integrity;
pub mod lock;
pub mod notification;
pub mod packs;
pub mod query;
pub mod rows;
pub mod storage_class;
