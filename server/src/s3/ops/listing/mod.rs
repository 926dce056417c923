//! What ListObjects, ListObjectsV2, ListObjectVersions and ListMultipartUploads share.

pub mod page;
pub mod params;
pub mod shapes;
pub mod token;

pub use page::{after_marker, last_name, read_page};
pub use params::{ListingParams, NameEncoding, bounded, parse_limit};
pub use shapes::{Owners, common_prefixes, contents, iso_time, object_fields, page_fields};
