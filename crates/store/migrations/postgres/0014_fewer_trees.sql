-- A webhook writes into as few trees as it can: see docs/decisions/0012.

-- Most chains are one callback, which has its chain's id.
drop index callbacks_of_chain;
create index callbacks_of_chain on callbacks (chain_id, bucket) where chain_id <> id;
