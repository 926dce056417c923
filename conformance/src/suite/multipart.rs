//! Multipart uploads: put together right, and every way to put them together wrong.

use super::context::{
    Context, Failure, check, element, elements, error, has_header, header, pattern, same_bytes, status, text,
};
use crate::client::Request;
use crate::http::Answer;

super::cases!("multipart":
    three_parts_become_an_object,
    part_order_of_numbers_not_of_arrival,
    part_can_be_replaced,
    parts_left_out_are_left_out,
    get_by_part_number,
    small_part_in_the_middle_is_refused,
    wrong_order_is_refused,
    wrong_etag_is_refused,
    missing_part_is_refused,
    part_numbers_out_of_range_are_refused,
    complete_without_parts_is_refused,
    complete_of_no_upload_is_refused,
    complete_twice,
    abort_removes_the_upload,
    complete_races_abort,
    object_is_not_visible_before_complete,
    list_parts_pages,
    list_uploads,
    metadata_comes_from_create,
    wrong_object_size_is_refused,
    a_part_listed_twice_counts_as_the_last,
    parts_of_one_upload_come_in_any_order,
    two_uploads_of_one_key_do_not_mix,
    an_abort_of_no_upload_is_refused,
);

pub(super) const FIVE_MIB: usize = 5 << 20;

/// An upload in progress.
pub(super) struct Upload {
    context: Context,
    key: String,
    pub(super) id: String,
    headers: Vec<(String, String)>,
}

/// A part as Complete names it.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) number: u32,
    pub(super) etag: String,
}

impl Upload {
    /// `headers` go with Create only.
    pub(super) async fn begin(context: &Context, key: &str, headers: &[(&str, &str)]) -> Result<Self, Failure> {
        let request =
            headers.iter().fold(context.request("POST", key).query("uploads", ""), |request, (name, value)| {
                request.header(name, value)
            });
        let answer = context.send(request).await?;
        status(&answer, 200)?;
        let id = element(&text(&answer), "UploadId").ok_or("no UploadId")?;
        Ok(Self { context: context.clone(), key: key.to_owned(), id, headers: Vec::new() })
    }

    /// These headers go with each part.
    pub(super) fn with_part_headers(mut self, headers: &[(String, String)]) -> Self {
        self.headers = headers.to_vec();
        self
    }

    pub(super) fn part_request(&self, number: &str) -> Request {
        let mut request =
            self.context.request("PUT", &self.key).query("partNumber", number).query("uploadId", &self.id);
        request.headers.extend(self.headers.iter().cloned());
        request
    }

    pub(super) async fn put(&self, number: u32, body: &[u8]) -> Result<Part, Failure> {
        let answer = self.context.send(self.part_request(&number.to_string()).body(body)).await?;
        status(&answer, 200)?;
        Ok(Part { number, etag: has_header(&answer, "etag")?.to_owned() })
    }

    pub(super) fn complete_request(&self, parts: &[Part]) -> Request {
        let inside: String = parts
            .iter()
            .map(|part| format!("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", part.number, part.etag))
            .collect();
        self.complete_with(&inside)
    }

    pub(super) fn complete_with(&self, inside: &str) -> Request {
        let xml = format!(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inside}</CompleteMultipartUpload>"
        );
        self.context.request("POST", &self.key).query("uploadId", &self.id).body(xml)
    }

    pub(super) async fn complete(&self, parts: &[Part]) -> Result<Answer, Failure> {
        self.context.send(self.complete_request(parts)).await
    }

    async fn abort(&self) -> Result<Answer, Failure> {
        self.context.send(self.context.request("DELETE", &self.key).query("uploadId", &self.id)).await
    }
}

pub(super) async fn begin(context: &Context) -> Result<Upload, Failure> {
    context.create_bucket().await?;
    Upload::begin(context, "key", &[]).await
}

/// A 200 that holds an error is an error too.
pub(super) fn completed(answer: &Answer) -> Result<(), Failure> {
    status(answer, 200)?;
    check(!text(answer).contains("<Error>"), text(answer))
}

async fn three_parts_become_an_object(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let body = pattern(2 * FIVE_MIB + 12_345);
    let mut parts = Vec::new();
    for (number, piece) in (1..).zip(body.chunks(FIVE_MIB)) {
        parts.push(upload.put(number, piece).await?);
    }
    completed(&upload.complete(&parts).await?)?;
    context.expect_object("key", &body).await?;
    let from = FIVE_MIB - 10;
    let request = context.request("GET", "key").header("range", &format!("bytes={from}-{}", FIVE_MIB + 9));
    let answer = context.send(request).await?;
    status(&answer, 206)?;
    same_bytes(&answer.body, &body[from..FIVE_MIB + 10])
}

async fn part_order_of_numbers_not_of_arrival(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let (one, two) = (pattern(FIVE_MIB), b"the end".to_vec());
    let last = upload.put(7, &two).await?;
    let first = upload.put(3, &one).await?;
    completed(&upload.complete(&[first, last]).await?)?;
    context.expect_object("key", &[one, two].concat()).await.map(drop)
}

async fn part_can_be_replaced(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    upload.put(1, b"the first try").await?;
    let part = upload.put(1, b"the second").await?;
    completed(&upload.complete(&[part]).await?)?;
    context.expect_object("key", b"the second").await.map(drop)
}

async fn parts_left_out_are_left_out(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let part = upload.put(1, b"in").await?;
    upload.put(2, b"out").await?;
    completed(&upload.complete(&[part]).await?)?;
    context.expect_object("key", b"in").await.map(drop)
}

async fn get_by_part_number(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let parts = [upload.put(2, &pattern(FIVE_MIB)).await?, upload.put(4, b"second").await?];
    completed(&upload.complete(&parts).await?)?;
    let answer = context.send(context.request("GET", "key").query("partNumber", "2")).await?;
    status(&answer, 206)?;
    same_bytes(&answer.body, b"second")?;
    header(&answer, "x-amz-mp-parts-count", "2")?;
    let answer = context.send(context.request("GET", "key").query("partNumber", "3")).await?;
    error(&answer, 416, "InvalidPartNumber")
}

async fn small_part_in_the_middle_is_refused(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let parts = [upload.put(1, b"too small").await?, upload.put(2, b"last").await?];
    error(&upload.complete(&parts).await?, 400, "EntityTooSmall")?;
    context.expect_no_object("key").await
}

async fn wrong_order_is_refused(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let parts = [upload.put(1, &pattern(FIVE_MIB)).await?, upload.put(2, b"last").await?];
    error(&upload.complete(&[parts[1].clone(), parts[0].clone()]).await?, 400, "InvalidPartOrder")
}

async fn wrong_etag_is_refused(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let mut part = upload.put(1, b"body").await?;
    part.etag = format!("\"{}\"", "0".repeat(32));
    error(&upload.complete(&[part]).await?, 400, "InvalidPart")
}

async fn missing_part_is_refused(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let mut part = upload.put(1, b"body").await?;
    part.number = 2;
    error(&upload.complete(&[part]).await?, 400, "InvalidPart")
}

async fn part_numbers_out_of_range_are_refused(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    for number in ["0", "10001", "-1", "one"] {
        let answer = context.send(upload.part_request(number).body("x")).await?;
        error(&answer, 400, "InvalidArgument").map_err(|failure| format!("{number}: {failure}"))?;
    }
    upload.put(10_000, b"x").await.map(drop)
}

async fn complete_without_parts_is_refused(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    upload.put(1, b"body").await?;
    error(&upload.complete(&[]).await?, 400, "MalformedXML")
}

async fn complete_of_no_upload_is_refused(context: Context) -> Result<(), Failure> {
    let mut upload = begin(&context).await?;
    let part = upload.put(1, b"body").await?;
    upload.id = "no-such-upload".to_owned();
    error(&upload.complete(&[part]).await?, 404, "NoSuchUpload")?;
    error(&context.send(upload.part_request("1").body("x")).await?, 404, "NoSuchUpload")
}

/// A client that did not hear the first answer asks again: it must hear success or that the upload is gone.
async fn complete_twice(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let part = upload.put(1, b"body").await?;
    completed(&upload.complete(std::slice::from_ref(&part)).await?)?;
    let again = upload.complete(&[part]).await?;
    if again.head.status != 200 {
        error(&again, 404, "NoSuchUpload")?;
    }
    context.expect_object("key", b"body").await.map(drop)
}

async fn abort_removes_the_upload(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let part = upload.put(1, b"body").await?;
    status(&upload.abort().await?, 204)?;
    error(&upload.complete(&[part]).await?, 404, "NoSuchUpload")?;
    error(&upload.abort().await?, 404, "NoSuchUpload")?;
    context.expect_no_object("key").await
}

async fn complete_races_abort(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for round in 0..8 {
        let key = format!("key-{round}");
        let upload = Upload::begin(&context, &key, &[]).await?;
        let part = upload.put(1, b"body").await?;
        let parts = [part];
        let (complete, abort) = tokio::join!(upload.complete(&parts), upload.abort());
        let won = completed(&complete?).is_ok();
        let aborted = abort?.head.status == 204;
        check(won != aborted, format!("round {round}: completed {won}, aborted {aborted}"))?;
        if won {
            context.expect_object(&key, b"body").await?;
        } else {
            context.expect_no_object(&key).await?;
        }
    }
    Ok(())
}

async fn object_is_not_visible_before_complete(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    upload.put(1, b"body").await?;
    context.expect_no_object("key").await?;
    let answer = context.send(context.request("GET", "").query("list-type", "2")).await?;
    check(elements(&text(&answer), "Key").is_empty(), text(&answer))
}

async fn list_parts_pages(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    for number in [1, 2, 5, 9] {
        upload.put(number, b"part").await?;
    }
    let list = |marker: &str| {
        context
            .request("GET", "key")
            .query("uploadId", &upload.id)
            .query("max-parts", "3")
            .query("part-number-marker", marker)
    };
    let first = text(&context.send(list("0")).await?);
    check(elements(&first, "PartNumber") == ["1", "2", "5"], first.clone())?;
    check(element(&first, "IsTruncated").as_deref() == Some("true"), first.clone())?;
    let next = element(&first, "NextPartNumberMarker").ok_or("no NextPartNumberMarker")?;
    let second = text(&context.send(list(&next)).await?);
    check(elements(&second, "PartNumber") == ["9"], second.clone())?;
    check(element(&second, "IsTruncated").as_deref() == Some("false"), second)
}

async fn list_uploads(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for key in ["a/1", "a/2", "b/1"] {
        Upload::begin(&context, key, &[]).await?;
    }
    let xml = text(&context.send(context.request("GET", "").query("uploads", "")).await?);
    check(elements(&xml, "Key") == ["a/1", "a/2", "b/1"], xml)?;
    let request = context.request("GET", "").query("uploads", "").query("prefix", "a/");
    let xml = text(&context.send(request).await?);
    check(elements(&xml, "Key") == ["a/1", "a/2"], xml)?;
    let request = context.request("GET", "").query("uploads", "").query("max-uploads", "1");
    let xml = text(&context.send(request).await?);
    check(element(&xml, "IsTruncated").as_deref() == Some("true"), xml.clone())?;
    let (key, id) = (element(&xml, "NextKeyMarker"), element(&xml, "NextUploadIdMarker"));
    let request = context
        .request("GET", "")
        .query("uploads", "")
        .query("key-marker", &key.unwrap_or_default())
        .query("upload-id-marker", &id.unwrap_or_default());
    let xml = text(&context.send(request).await?);
    check(elements(&xml, "Key") == ["a/2", "b/1"], xml)
}

async fn metadata_comes_from_create(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    let headers = [("x-amz-meta-kind", "charter"), ("content-type", "text/x-charter")];
    let upload = Upload::begin(&context, "key", &headers).await?;
    let part = upload.put(1, b"body").await?;
    completed(&upload.complete(&[part]).await?)?;
    let answer = context.expect_object("key", b"body").await?;
    headers.iter().try_for_each(|(name, value)| header(&answer, name, value))
}

async fn wrong_object_size_is_refused(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let part = upload.put(1, b"body").await?;
    let request = upload.complete_request(&[part]).header("x-amz-mp-object-size", "5");
    error(&context.send(request).await?, 400, "InvalidRequest")?;
    context.expect_no_object("key").await
}

async fn a_part_listed_twice_counts_as_the_last(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let first = upload.put(1, b"first").await?;
    let again = upload.put(1, b"again").await?;
    error(&upload.complete(&[again.clone(), first.clone()]).await?, 400, "InvalidPart")?;
    completed(&upload.complete(&[first, again]).await?)?;
    context.expect_object("key", b"again").await.map(drop)
}

async fn parts_of_one_upload_come_in_any_order(context: Context) -> Result<(), Failure> {
    let upload = begin(&context).await?;
    let (one, two) = (pattern(FIVE_MIB), b"two");
    let second = upload.put(10_000, two).await?;
    let first = upload.put(3, &one).await?;
    completed(&upload.complete(&[first, second]).await?)?;
    context.expect_object("key", &[&one[..], two].concat()).await.map(drop)
}

async fn two_uploads_of_one_key_do_not_mix(context: Context) -> Result<(), Failure> {
    let one = begin(&context).await?;
    let two = Upload::begin(&context, "key", &[]).await?;
    let (of_one, of_two) = (one.put(1, b"one").await?, two.put(1, b"two").await?);
    error(&one.complete(std::slice::from_ref(&of_two)).await?, 400, "InvalidPart")?;
    completed(&two.complete(&[of_two]).await?)?;
    context.expect_object("key", b"two").await?;
    completed(&one.complete(&[of_one]).await?)?;
    context.expect_object("key", b"one").await.map(drop)
}

async fn an_abort_of_no_upload_is_refused(context: Context) -> Result<(), Failure> {
    context.create_bucket().await?;
    for id in ["56788", &"0".repeat(32)] {
        let abort = context.request("DELETE", "key").query("uploadId", id);
        error(&context.send(abort).await?, 404, "NoSuchUpload")?;
    }
    Ok(())
}
