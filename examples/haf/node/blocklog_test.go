package main

import (
	"encoding/json"
	"testing"
)

func TestTheLogIsTheSameInEveryReplay(t *testing.T) {
	for _, num := range []int{1, 200, 201, 300, 12345} {
		first, err := json.Marshal(blockAt(num))
		if err != nil {
			t.Fatal(err)
		}
		second, err := json.Marshal(blockAt(num))
		if err != nil {
			t.Fatal(err)
		}
		if string(first) != string(second) {
			t.Errorf("block %d differs:\n%s\n%s", num, first, second)
		}
	}
}

// Every operation refers to what an earlier operation has made: apps rely on it.
func TestOperationsReferToWhatIsThere(t *testing.T) {
	accounts, posts := map[any]bool{}, map[[2]any]bool{}
	counts := map[string]int{}
	prev := blockAt(1).Prev
	for num := 1; num <= 3000; num++ {
		b := blockAt(num)
		if b.Num != num || b.Prev != prev {
			t.Fatalf("block %d is numbered %d and follows %s, not %s", num, b.Num, b.Prev, prev)
		}
		prev = b.Hash
		for _, op := range b.Ops {
			counts[op.Type]++
			switch op.Type {
			case "account_create":
				if accounts[op.Body["name"]] || op.Body["name"] != b.Account {
					t.Fatalf("block %d creates %v, and says that it creates %s", num, op.Body, b.Account)
				}
				accounts[op.Body["name"]] = true
			case "comment":
				post := [2]any{op.Body["author"], op.Body["permlink"]}
				if !accounts[op.Body["author"]] || posts[post] {
					t.Fatalf("block %d: %v", num, op.Body)
				}
				posts[post] = true
			case "transfer":
				if !accounts[op.Body["from"]] || !accounts[op.Body["to"]] {
					t.Fatalf("block %d: %v", num, op.Body)
				}
			case "vote":
				if !accounts[op.Body["voter"]] || !posts[[2]any{op.Body["author"], op.Body["permlink"]}] {
					t.Fatalf("block %d: %v", num, op.Body)
				}
			}
		}
	}
	for _, kind := range []string{"producer_reward", "account_create", "comment", "transfer", "vote"} {
		if counts[kind] == 0 {
			t.Errorf("3000 blocks hold no %s", kind)
		}
	}
}
