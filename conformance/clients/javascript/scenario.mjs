// The AWS SDK for JavaScript, version 3, with default settings: objects, streams, parts, conditions, versions, keys.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import {
  CopyObjectCommand, CreateBucketCommand, DeleteBucketCommand, DeleteObjectsCommand, GetObjectCommand,
  GetObjectTaggingCommand, HeadObjectCommand, ListObjectVersionsCommand, PutBucketVersioningCommand, PutObjectCommand,
  S3Client, paginateListObjectsV2, waitUntilObjectExists,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { createPresignedPost } from "@aws-sdk/s3-presigned-post";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const s3 = new S3Client({ endpoint: process.env.ENDPOINT, region: "fr", forcePathStyle: true });
const Bucket = "javascript";
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const read = async (input) => Buffer.from(await (await s3.send(new GetObjectCommand({ Bucket, ...input }))).Body.transformToByteArray());

async function refused(promise, name, status) {
  const error = await promise.then(() => assert.fail(`${name} was expected`), (error) => error);
  assert.deepEqual([error.name, error.$metadata?.httpStatusCode], [name, status], String(error));
}

await s3.send(new CreateBucketCommand({ Bucket, CreateBucketConfiguration: { LocationConstraint: "fr" } }));
const body = randomBytes(300_000);
const keys = ["plain", "a/é b+c//..%2F", "漢字/~(x)'*", "dots/./../x"];
for (const Key of keys) {
  await s3.send(new PutObjectCommand({ Bucket, Key, Body: body, Metadata: { kind: "charter" }, Tagging: "a=1&b=2" }));
  assert.equal(sha256(await read({ Key })), sha256(body));
}
const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "plain", ChecksumMode: "ENABLED" }));
assert.equal(head.Metadata.kind, "charter");
assert.ok(head.ChecksumCRC32, "the default checksum is kept");
assert.equal((await s3.send(new GetObjectTaggingCommand({ Bucket, Key: "plain" }))).TagSet.length, 2);
assert.deepEqual(await read({ Key: "plain", Range: "bytes=16380-49155" }), body.subarray(16380, 49156));
for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
  await s3.send(new PutObjectCommand({ Bucket, Key: ChecksumAlgorithm, Body: body, ChecksumAlgorithm }));
  assert.equal(sha256(await read({ Key: ChecksumAlgorithm, ChecksumMode: "ENABLED" })), sha256(body));
}

// A stream, whose length is known: signed as it goes, with a trailer.
const large = join(process.env.WORK, "large");
const length = (await stat(large)).size;
await s3.send(new PutObjectCommand({ Bucket, Key: "stream", Body: createReadStream(large, { end: 20_000_000 - 1 }), ContentLength: 20_000_000 }));
assert.equal(sha256(await read({ Key: "stream" })), sha256((await readFile(large)).subarray(0, 20_000_000)));
// One of unknown length, in parts.
const parts = new Upload({ client: s3, params: { Bucket, Key: "parts", Body: Readable.from(createReadStream(large, { end: 40_000_000 - 1 })) } });
await parts.done();
assert.equal(sha256(await read({ Key: "parts" })), sha256((await readFile(large)).subarray(0, Math.min(length, 40_000_000))));
await s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource: encodeURIComponent(`${Bucket}/${keys[1]}`) }));
await waitUntilObjectExists({ client: s3, maxWaitTime: 10 }, { Bucket, Key: "copy" });

await refused(s3.send(new PutObjectCommand({ Bucket, Key: "plain", Body: "x", IfNoneMatch: "*" })), "PreconditionFailed", 412);
await refused(read({ Key: "no such key" }), "NoSuchKey", 404);
const key = randomBytes(32);
const withKey = (key) => ({
  SSECustomerAlgorithm: "AES256", SSECustomerKey: key.toString("base64"),
  SSECustomerKeyMD5: createHash("md5").update(key).digest("base64"),
});
await s3.send(new PutObjectCommand({ Bucket, Key: "sealed", Body: body, ...withKey(key) }));
assert.equal(sha256(await read({ Key: "sealed", ...withKey(key) })), sha256(body));
await refused(read({ Key: "sealed", ...withKey(randomBytes(32)) }), "AccessDenied", 403);
await refused(read({ Key: "sealed" }), "InvalidRequest", 400);

const url = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: keys[1] }), { expiresIn: 60 });
assert.equal(sha256(Buffer.from(await (await fetch(url)).arrayBuffer())), sha256(body));
const up = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: "put by URL" }), { expiresIn: 60 });
assert.equal((await fetch(up, { method: "PUT", body })).status, 200);
const post = await createPresignedPost(s3, { Bucket, Key: "posted", Conditions: [["content-length-range", 0, 1_000_000]] });
const form = new FormData();
Object.entries(post.fields).forEach(([name, value]) => form.append(name, value));
form.append("file", new Blob([body]));
assert.equal((await fetch(post.url, { method: "POST", body: form })).status, 204);
assert.equal(sha256(await read({ Key: "posted" })), sha256(body));

await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Enabled" } }));
await s3.send(new PutObjectCommand({ Bucket, Key: "plain", Body: "second" }));
const listed = [];
for await (const page of paginateListObjectsV2({ client: s3, pageSize: 3 }, { Bucket })) listed.push(...page.Contents.map((item) => item.Key));
for (const Key of [...keys, "stream", "parts", "copy", "sealed", "posted", "put by URL"]) assert.ok(listed.includes(Key), Key);
const versions = (await s3.send(new ListObjectVersionsCommand({ Bucket }))).Versions;
assert.equal(versions.filter((version) => version.Key === "plain").length, 2);
const Objects = versions.map(({ Key, VersionId }) => ({ Key, VersionId }));
assert.equal((await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }))).Deleted.length, Objects.length);
await s3.send(new DeleteBucketCommand({ Bucket }));
console.log(`${versions.length} versions; streams, parts, forms and URLs signed in advance, SSE-C`);
