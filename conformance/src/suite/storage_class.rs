//! Storage classes: those that promise no more than is kept are kept and shown, others are refused.

use super::context::{Context, Failure, check, element, elements, error, header, no_header, status, text};
use super::multipart::Upload;
use crate::client::Request;

super::cases!("storage_class":
    a_class_is_kept_and_shown,
    every_class_that_answers_at_once_is_kept,
    the_default_is_not_said,
    an_upload_keeps_its_class,
    a_copy_takes_the_default,
    a_copy_takes_the_class_it_names,
    a_copy_onto_itself_may_change_the_class,
    classes_to_restore_from_are_refused,
    an_unknown_class_is_refused,
    an_upload_of_an_unknown_class_is_refused,
    attributes_tell_the_class,
);

const CLASS: &str = "x-amz-storage-class";

async fn put(context: &Context, key: &str, class: &str) -> Result<(), Failure> {
    status(&context.send(context.request("PUT", key).header(CLASS, class).body("body")).await?, 200)
}

fn copy(context: &Context, from: &str, to: &str) -> Request {
    context.request("PUT", to).header("x-amz-copy-source", &format!("/{}/{from}", context.bucket))
}

async fn has_class(context: &Context, key: &str, class: &str) -> Result<(), Failure> {
    let answer = context.send(context.request("HEAD", key)).await?;
    status(&answer, 200)?;
    match class {
        "STANDARD" => no_header(&answer, CLASS),
        class => header(&answer, CLASS, class),
    }
}

async fn a_class_is_kept_and_shown(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    put(&context, "key", "STANDARD_IA").await?;
    has_class(&context, "key", "STANDARD_IA").await?;
    header(&context.expect_object("key", b"body").await?, CLASS, "STANDARD_IA")?;
    for (query, value) in [("list-type", "2"), ("prefix", ""), ("versions", "")] {
        let xml = text(&context.send(context.request("GET", "").query(query, value)).await?);
        check(element(&xml, "StorageClass").as_deref() == Some("STANDARD_IA"), xml)?;
    }
    put(&context, "key", "STANDARD").await?;
    has_class(&context, "key", "STANDARD").await
}

async fn every_class_that_answers_at_once_is_kept(context: Context) -> Result<(), Failure> {
    const CLASSES: [&str; 5] = ["GLACIER_IR", "INTELLIGENT_TIERING", "ONEZONE_IA", "REDUCED_REDUNDANCY", "STANDARD_IA"];
    context.create_bucket().await?;
    for class in CLASSES {
        put(&context, class, class).await?;
        has_class(&context, class, class).await?;
    }
    let xml = text(&context.send(context.request("GET", "").query("list-type", "2")).await?);
    check(elements(&xml, "StorageClass") == CLASSES, xml)
}

async fn the_default_is_not_said(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    has_class(&context, "key", "STANDARD").await
}

async fn an_upload_keeps_its_class(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let upload = Upload::begin(&context, "key", &[(CLASS, "ONEZONE_IA")]).await?;
    let uploads = text(&context.send(context.request("GET", "").query("uploads", "")).await?);
    check(element(&uploads, "StorageClass").as_deref() == Some("ONEZONE_IA"), uploads)?;
    let part = upload.put(1, b"part").await?;
    let parts = text(&context.send(context.request("GET", "key").query("uploadId", &upload.id)).await?);
    check(element(&parts, "StorageClass").as_deref() == Some("ONEZONE_IA"), parts)?;
    status(&upload.complete(&[part]).await?, 200)?;
    has_class(&context, "key", "ONEZONE_IA").await
}

async fn a_copy_takes_the_default(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    put(&context, "from", "STANDARD_IA").await?;
    status(&context.send(copy(&context, "from", "to")).await?, 200)?;
    has_class(&context, "to", "STANDARD").await
}

async fn a_copy_takes_the_class_it_names(context: Context) -> Result<(), Failure> {
    context.create_object("from", b"body").await?;
    status(&context.send(copy(&context, "from", "to").header(CLASS, "GLACIER_IR")).await?, 200)?;
    has_class(&context, "to", "GLACIER_IR").await?;
    has_class(&context, "from", "STANDARD").await
}

async fn a_copy_onto_itself_may_change_the_class(context: Context) -> Result<(), Failure> {
    context.create_object("key", b"body").await?;
    error(&context.send(copy(&context, "key", "key")).await?, 400, "InvalidRequest")?;
    status(&context.send(copy(&context, "key", "key").header(CLASS, "STANDARD_IA")).await?, 200)?;
    has_class(&context, "key", "STANDARD_IA").await?;
    context.expect_object("key", b"body").await.map(drop)
}

async fn classes_to_restore_from_are_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for class in ["GLACIER", "DEEP_ARCHIVE"] {
        let request = context.request("PUT", "key").header(CLASS, class).body("body");
        error(&context.send(request).await?, 400, "InvalidStorageClass")?;
    }
    context.expect_no_object("key").await
}

async fn an_unknown_class_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for class in ["standard", "COLD", ""] {
        let request = context.request("PUT", "key").header(CLASS, class).body("body");
        error(&context.send(request).await?, 400, "InvalidStorageClass")?;
    }
    context.expect_no_object("key").await
}

async fn an_upload_of_an_unknown_class_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let request = context.request("POST", "key").query("uploads", "").header(CLASS, "COLD");
    error(&context.send(request).await?, 400, "InvalidStorageClass")?;
    let uploads = text(&context.send(context.request("GET", "").query("uploads", "")).await?);
    check(element(&uploads, "UploadId").is_none(), uploads)
}

async fn attributes_tell_the_class(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    put(&context, "key", "STANDARD_IA").await?;
    let request =
        context.request("GET", "key").query("attributes", "").header("x-amz-object-attributes", "StorageClass");
    let xml = text(&context.send(request).await?);
    check(element(&xml, "StorageClass").as_deref() == Some("STANDARD_IA"), xml)
}
