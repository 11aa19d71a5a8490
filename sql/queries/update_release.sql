-- $1 id, $2 phase, $3 active, $4 terminal, $5 moment in ms. A unique violation of one_active_...: another is active.
update release set phase = $2, active = $3::boolean, terminal = $4::boolean, updated_at = to_timestamp($5::float8 / 1000)
where id = $1;
