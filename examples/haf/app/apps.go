package main

// apps are the example's three. Their tables and process_blocks functions are
// in ../apps/NAME/schema.sql.
var apps = []App{
	{Name: "hivemind", Schema: "hivemind", Endpoints: []Endpoint{
		{"/posts", "the ten newest posts", `
			SELECT coalesce(json_agg(p), '[]') FROM (
				SELECT author, permlink, title, votes, block_num FROM hivemind.posts
				ORDER BY block_num DESC LIMIT 10) p`},
		{"/posts/{author}/{permlink}", "one post", `
			SELECT row_to_json(p) FROM (
				SELECT author, permlink, title, votes, block_num FROM hivemind.posts
				WHERE author = $1 AND permlink = $2) p`},
		{"/accounts/{name}", "one account and how much it wrote", `
			SELECT row_to_json(a) FROM (
				SELECT name, created_block, posts, votes_cast FROM hivemind.accounts WHERE name = $1) a`},
	}},
	{Name: "balance-tracker", Schema: "balance_tracker", Endpoints: []Endpoint{
		{"/balances", "the ten richest accounts, in thousandths of a HIVE", `
			SELECT coalesce(json_agg(b), '[]') FROM (
				SELECT account, balance, last_block FROM balance_tracker.balances
				ORDER BY balance DESC, account LIMIT 10) b`},
		{"/balances/{account}", "one account's balance", `
			SELECT row_to_json(b) FROM (
				SELECT account, balance, last_block FROM balance_tracker.balances WHERE account = $1) b`},
		{"/supply", "the sum of all balances", `
			SELECT json_build_object('accounts', count(*), 'supply', coalesce(sum(balance), 0)) FROM balance_tracker.balances`},
	}},
	{Name: "block-explorer", Schema: "block_explorer", Endpoints: []Endpoint{
		{"/blocks", "the ten newest blocks", `
			SELECT coalesce(json_agg(b), '[]') FROM (
				SELECT num, hash, producer, operations, created_at FROM block_explorer.blocks
				ORDER BY num DESC LIMIT 10) b`},
		{"/blocks/{num}", "one block", `
			SELECT row_to_json(b) FROM (
				SELECT num, hash, producer, operations, created_at FROM block_explorer.blocks
				WHERE num = CASE WHEN $1 ~ '^[0-9]{1,9}$' THEN $1::integer END) b`},
		{"/witnesses", "the producers and their blocks", `
			SELECT coalesce(json_agg(w), '[]') FROM (
				SELECT name, blocks, last_block FROM block_explorer.witnesses ORDER BY blocks DESC, name) w`},
	}},
}
