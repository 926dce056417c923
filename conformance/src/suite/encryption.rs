//! Encryption settings of buckets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::context::{Context, Failure, check, element, error, header, status, text};
use super::settings::{get, remove, set};
use crate::client::Request;

super::cases!("encryption":
    encryption_is_aes256_from_the_start,
    encryption_is_set_and_reset,
    encryption_with_an_unknown_algorithm_is_refused,
    encryption_of_two_rules_is_refused,
    blocked_sse_c_refuses_uploads_with_a_key,
    blocked_encryption_types_that_are_none_are_refused,
);

fn encryption(algorithm: &str) -> String {
    format!(
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}\
         </SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
    )
}

async fn encryption_is_aes256_from_the_start(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let answer = get(&context, "encryption").await?;
    status(&answer, 200)?;
    check(element(&text(&answer), "SSEAlgorithm").as_deref() == Some("AES256"), text(&answer))?;
    header(&context.put("key", b"body").await?, "x-amz-server-side-encryption", "AES256")
}

async fn encryption_is_set_and_reset(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    status(&set(&context, "encryption", &encryption("AES256")).await?, 200)?;
    status(&get(&context, "encryption").await?, 200)?;
    remove(&context, "encryption").await?;
    status(&get(&context, "encryption").await?, 200)
}

async fn encryption_with_an_unknown_algorithm_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    error(&set(&context, "encryption", &encryption("rot13")).await?, 400, "MalformedXML")
}

const NO_SSE_C: &str = "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>\
    <SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault><BlockedEncryptionTypes>\
    <EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>";

async fn encryption_of_two_rules_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let rule = "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
                </ApplyServerSideEncryptionByDefault></Rule>";
    let two = format!("<ServerSideEncryptionConfiguration>{rule}{rule}</ServerSideEncryptionConfiguration>");
    error(&set(&context, "encryption", &two).await?, 400, "MalformedXML")
}

async fn blocked_sse_c_refuses_uploads_with_a_key(context: Context) -> Result<(), Failure> {
    context.needs_tls()?;
    context.create_bucket().await?;
    status(&set(&context, "encryption", NO_SSE_C).await?, 200)?;
    let said = text(&get(&context, "encryption").await?);
    check(element(&said, "EncryptionType").as_deref() == Some("SSE-C"), said)?;
    let key = [7_u8; 32];
    let keyed = |request: Request| {
        request
            .header("x-amz-server-side-encryption-customer-algorithm", "AES256")
            .header("x-amz-server-side-encryption-customer-key", &STANDARD.encode(key))
            .header("x-amz-server-side-encryption-customer-key-md5", &STANDARD.encode(Md5::digest(key)))
    };
    let put = || keyed(context.request("PUT", "key").body("x"));
    error(&context.send(put()).await?, 403, "AccessDenied")?;
    error(&context.send(keyed(context.request("POST", "key").query("uploads", ""))).await?, 403, "AccessDenied")?;
    context.put("plain", b"x").await?;
    status(&set(&context, "encryption", &NO_SSE_C.replace("SSE-C", "NONE")).await?, 200)?;
    status(&context.send(put()).await?, 200)?;
    // What is there is read on.
    status(&set(&context, "encryption", NO_SSE_C).await?, 200)?;
    status(&context.send(keyed(context.request("GET", "key"))).await?, 200)
}

async fn blocked_encryption_types_that_are_none_are_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for bad in ["ROT13", "", "sse-c"] {
        let document = NO_SSE_C.replace("<EncryptionType>SSE-C", &format!("<EncryptionType>{bad}"));
        error(&set(&context, "encryption", &document).await?, 400, "MalformedXML")
            .map_err(|failure| format!("{bad}: {failure}"))?;
    }
    Ok(())
}
