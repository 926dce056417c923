//! UploadPartCopy.

use super::context::{Context, Failure, check, element, error, pattern, status, text};
use super::multipart::{FIVE_MIB, Part, Upload, completed};

super::cases!("part_copies":
    upload_part_copy,
    upload_part_copy_range_beyond_the_end,
    upload_part_copy_range_of_another_form,
);

async fn upload_part_copy(context: Context) -> Result<(), Failure> {
    let body = pattern(FIVE_MIB + 1000);
    context.create_object("source", &body).await?;
    let upload = Upload::begin(&context, "key", &[]).await?;
    let source = format!("/{}/source", context.bucket);
    let mut parts = Vec::new();
    for (number, range) in [(1, format!("bytes=0-{}", FIVE_MIB - 1)), (2, "bytes=10-19".to_owned())] {
        let request = upload
            .part_request(&number.to_string())
            .header("x-amz-copy-source", &source)
            .header("x-amz-copy-source-range", &range);
        let answer = context.send(request).await?;
        status(&answer, 200)?;
        let etag = element(&text(&answer), "ETag").ok_or("no ETag")?;
        parts.push(Part { number, etag });
    }
    completed(&upload.complete(&parts).await?)?;
    context.expect_object("key", &[&body[..FIVE_MIB], &body[10..20]].concat()).await.map(drop)
}

async fn upload_part_copy_range_beyond_the_end(context: Context) -> Result<(), Failure> {
    context.create_object("source", b"0123456789").await?;
    let upload = Upload::begin(&context, "key", &[]).await?;
    let request = upload
        .part_request("1")
        .header("x-amz-copy-source", &format!("/{}/source", context.bucket))
        .header("x-amz-copy-source-range", "bytes=5-20");
    let answer = context.send(request).await?;
    check(matches!(answer.head.status, 400 | 416), format!("got {}", answer.head.status))
}

async fn upload_part_copy_range_of_another_form(context: Context) -> Result<(), Failure> {
    context.create_object("source", b"0123456789").await?;
    let upload = Upload::begin(&context, "key", &[]).await?;
    let source = format!("/{}/source", context.bucket);
    let copy = |range: &str| {
        upload.part_request("1").header("x-amz-copy-source", &source).header("x-amz-copy-source-range", range)
    };
    for bad in ["0-2", "bytes=0", "bytes=hello-world", "bytes=0-bar", "bytes=hello-", "bytes=0-2,3-5", "bytes=5-2"] {
        error(&context.send(copy(bad)).await?, 400, "InvalidArgument")
            .map_err(|failure| format!("{bad}: {failure}"))?;
    }
    error(&context.send(copy("bytes=0-21")).await?, 416, "InvalidRange")?;
    status(&context.send(copy("bytes=9-9")).await?, 200)
}
