// Verifies an exported Chartrier journal with golang.org/x/mod/sumdb, and none of our code.
//
//	verify OUT [PROOF.tlog-proof ...]
//
// The packages know the go.sum database, so three things are adapted here:
//   - note.Open checks the signature, but tlog.ParseTree accepts only the go.sum origin: parseCheckpoint;
//   - tlog.Tile.Path says tile/8/<L> and tile/8/data: tilePath;
//   - the tree without leaves has the root of RFC 6962, SHA-256 of nothing: checkLog.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: verify OUT [PROOF.tlog-proof ...]")
		os.Exit(2)
	}
	said, err := verify(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
	fmt.Println("ok:", said)
}

func verify(out string, proofs []string) (string, error) {
	vkey, err := os.ReadFile(filepath.Join(out, "vkey"))
	if err != nil {
		return "", err
	}
	verifier, err := note.NewVerifier(strings.TrimSuffix(string(vkey), "\n"))
	if err != nil {
		return "", fmt.Errorf("vkey: %w", err)
	}
	signed, err := os.ReadFile(filepath.Join(out, "checkpoint"))
	if err != nil {
		return "", err
	}
	tree, err := openCheckpoint(signed, verifier)
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	if err := checkLog(out, verifier.Name(), tree); err != nil {
		return "", err
	}
	for _, proof := range proofs {
		if err := checkProof(proof, verifier); err != nil {
			return "", fmt.Errorf("%s: %w", filepath.Base(proof), err)
		}
	}
	return fmt.Sprintf("%s: %d leaves, %d proofs", verifier.Name(), tree.N, len(proofs)), nil
}

func openCheckpoint(signed []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	return parseCheckpoint(opened.Text, verifier.Name())
}

// parseCheckpoint reads the three lines of c2sp.org/tlog-checkpoint.
func parseCheckpoint(text, origin string) (tlog.Tree, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] != origin || lines[3] != "" {
		return tlog.Tree{}, errors.New("not the three lines of a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, errors.New("malformed size")
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// checkLog checks every tile against the signed root and every entry against its tile, then proves leaves and
// prefixes from the tiles.
func checkLog(out, origin string, tree tlog.Tree) error {
	if tree.N == 0 {
		if tree.Hash != tlog.Hash(sha256.Sum256(nil)) {
			return errors.New("wrong root of an empty tree")
		}
		return nil
	}
	hashes := tlog.TileHashReader(tree, folder(out))
	for first := int64(0); first < tree.N; first += tileWidth {
		if err := checkBundle(out, origin, first, tree, hashes); err != nil {
			return fmt.Errorf("entries from %d: %w", first, err)
		}
	}
	for _, n := range []int64{0, 1, tree.N / 3, tree.N / 2, tree.N - 1} {
		if n < tree.N {
			if err := checkProofs(n, tree, hashes); err != nil {
				return fmt.Errorf("proofs of leaf %d: %w", n, err)
			}
		}
	}
	return nil
}

// checkBundle reads the entries and the hashes of one tile of level 0. TileHashReader authenticates the tile, and
// its parents up to the root, before it answers.
func checkBundle(out, origin string, first int64, tree tlog.Tree, hashes tlog.HashReader) error {
	width := tree.N - first
	if width > tileWidth {
		width = tileWidth
	}
	bundle, err := os.ReadFile(filepath.Join(out, tilePath("entries", first/tileWidth, int(width))))
	if err != nil {
		return err
	}
	indexes := make([]int64, width)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
	}
	want, err := hashes.ReadHashes(indexes)
	if err != nil {
		return err
	}
	for i := range indexes {
		if len(bundle) < 2 || len(bundle)-2 < int(bundle[0])<<8|int(bundle[1]) {
			return errors.New("the bundle ends within an entry")
		}
		length := int(bundle[0])<<8 | int(bundle[1])
		entry := bundle[2 : 2+length]
		bundle = bundle[2+length:]
		if tlog.RecordHash(entry) != want[i] {
			return fmt.Errorf("entry %d is not the one in the tree", first+int64(i))
		}
		if err := checkLeaf(entry, origin, first+int64(i)); err != nil {
			return err
		}
	}
	if len(bundle) != 0 {
		return errors.New("bytes after the last entry")
	}
	return nil
}

// checkLeaf reads a leaf with Go's JSON and compares what places it in the log. Go writes objects of a map with
// sorted names and without spaces, so that for leaves of plain text the canonical form must come back.
func checkLeaf(entry []byte, origin string, index int64) error {
	decoder := json.NewDecoder(bytes.NewReader(entry))
	decoder.UseNumber()
	var leaf map[string]any
	if err := decoder.Decode(&leaf); err != nil {
		return fmt.Errorf("leaf %d: %w", index, err)
	}
	if leaf["seq"] != json.Number(strconv.FormatInt(index, 10)) || leaf["log"] != origin {
		return fmt.Errorf("leaf %d: out of its place", index)
	}
	var again bytes.Buffer
	encoder := json.NewEncoder(&again)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(leaf); err != nil {
		return err
	}
	if !bytes.Equal(bytes.TrimSuffix(again.Bytes(), []byte("\n")), entry) {
		return fmt.Errorf("leaf %d: not canonical", index)
	}
	return nil
}

// checkProofs makes proofs from the tiles and checks them.
func checkProofs(n int64, tree tlog.Tree, hashes tlog.HashReader) error {
	leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, n)})
	if err != nil {
		return err
	}
	record, err := tlog.ProveRecord(tree.N, n, hashes)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(record, tree.N, tree.Hash, n, leaf[0]); err != nil {
		return err
	}
	old, err := tlog.TreeHash(n+1, hashes)
	if err != nil {
		return err
	}
	prefix, err := tlog.ProveTree(tree.N, n+1, hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(prefix, tree.N, tree.Hash, n+1, old)
}

// checkProof checks one file of c2sp.org/tlog-proof@v1 that carries its leaf as extra data.
func checkProof(path string, verifier note.Verifier) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, signed, found := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" ||
		!strings.HasPrefix(lines[1], "extra ") || !strings.HasPrefix(lines[2], "index ") {
		return errors.New("not a proof with its leaf")
	}
	leaf, err := base64.StdEncoding.Strict().DecodeString(lines[1][len("extra "):])
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(lines[2][len("index "):], 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	tree, err := openCheckpoint([]byte(signed), verifier)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(leaf)); err != nil {
		return err
	}
	return checkLeaf(leaf, verifier.Name(), index)
}

// folder reads tiles of an exported log; it is a tlog.TileReader.
type folder string

func (f folder) Height() int { return tileHeight }

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		path := tilePath(strconv.Itoa(tile.L), tile.N, tile.W)
		bytes, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		if len(bytes) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s: wrong length", path)
		}
		data[i] = bytes
	}
	return data, nil
}

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

// tilePath is the name of a tile or bundle in c2sp.org/tlog-tiles.
func tilePath(level string, n int64, width int) string {
	path := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	if width < tileWidth {
		path += fmt.Sprintf(".p/%d", width)
	}
	return "tile/" + level + "/" + path
}
