# What redialer may do at a Vault or OpenBao server: use one transit key, and keep its own token alive. Nothing else.
# Write it with `bao policy write redialer vault-policy.hcl`, for a transit key called `redialer` under the mount `transit`.
path "transit/encrypt/redialer" { capabilities = ["update"] }
path "transit/decrypt/redialer" { capabilities = ["update"] }
path "auth/token/renew-self"    { capabilities = ["update"] }
