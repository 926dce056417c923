//! Browser uploads: a form that carries fields, a policy that its author signed, and one file.
//!
//! | file | part |
//! |---|---|
//! | `reader` | multipart/form-data as it streams: fields in memory within limits, the file never |
//! | `fields` | the fields, and the headers that a PUT of the same object would have carried |
//! | `policy` | the policy document, and whether the fields keep to it |
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html>

mod fields;
#[cfg(any(fuzzing, test))]
pub(crate) mod fuzzing;
mod policy;
mod reader;

pub use fields::FormFields;
pub use policy::{LengthRange, Policy};
pub use reader::{FormReader, boundary};
