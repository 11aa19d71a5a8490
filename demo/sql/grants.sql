-- The canary's role may do to the shop's rows what the shop's role may do, and owns nothing. Run as shop.

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO shop_canary;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO shop_canary;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO shop_canary;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO shop_canary;
