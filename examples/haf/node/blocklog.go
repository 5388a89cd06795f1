package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
)

// The block log is a pure function of the block's number: the same blocks come
// out of every replay, on every machine, so that results can be compared.

const (
	// accounts are created one per block, from the first block on.
	accounts = 200
	// commentEvery is the distance between two blocks with a comment.
	commentEvery = 3
	// creation is what a new account starts with, reward what a block's
	// producer gets; both in thousandths of a HIVE.
	creation = 1_000_000
	reward   = 250
)

var producers = [...]string{"gandalf", "elrond", "galadriel", "saruman", "radagast"}

// Block is one block of the log.
type Block struct {
	Num                  int
	Hash, Prev, Producer string
	Ops                  []Op
	// Account is the account that the block creates, or empty.
	Account string
}

// Op is one operation. Body is its JSON object.
type Op struct {
	Type string
	Body map[string]any
}

// blockAt returns block num, from 1.
func blockAt(num int) Block {
	b := Block{Num: num, Hash: hashOf(num), Prev: hashOf(num - 1), Producer: producers[num%len(producers)]}
	b.Ops = append(b.Ops, Op{"producer_reward", map[string]any{"producer": b.Producer, "amount": reward}})
	if num <= accounts {
		b.Account = accountName(num)
		b.Ops = append(b.Ops, Op{"account_create", map[string]any{"name": b.Account, "amount": creation}})
		return b
	}
	if num%commentEvery == 0 {
		b.Ops = append(b.Ops, Op{"comment", map[string]any{
			"author": author(num), "permlink": permlink(num), "title": fmt.Sprintf("What I saw in block %d", num)}})
	}
	rng := rand.New(rand.NewPCG(uint64(num), 2))
	for range 1 + rng.IntN(4) {
		b.Ops = append(b.Ops, Op{"transfer", map[string]any{
			"from": accountName(1 + rng.IntN(accounts)), "to": accountName(1 + rng.IntN(accounts)), "amount": 1 + rng.IntN(999)}})
	}
	// Votes go to posts of earlier blocks only.
	if posts := (num - 1 - accounts) / commentEvery; posts > 0 {
		for range rng.IntN(3) {
			target := (accounts/commentEvery + 1 + rng.IntN(posts)) * commentEvery
			b.Ops = append(b.Ops, Op{"vote", map[string]any{
				"voter": accountName(1 + rng.IntN(accounts)), "author": author(target), "permlink": permlink(target)}})
		}
	}
	return b
}

func accountName(i int) string { return fmt.Sprintf("hobbit-%03d", i) }

func permlink(num int) string { return fmt.Sprintf("block-%d", num) }

// author of the comment in block num.
func author(num int) string {
	return accountName(1 + rand.New(rand.NewPCG(uint64(num), 1)).IntN(accounts))
}

// hashOf returns the block's hash as 40 hex digits, of which the first eight are its number.
func hashOf(num int) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("block"), uint64(num)))
	binary.BigEndian.PutUint32(sum[:4], uint32(num))
	return hex.EncodeToString(sum[:20])
}
