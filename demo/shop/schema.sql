-- The shop's tables, owned by the role the service runs as. Money is in cents.

CREATE TABLE products (
    id integer PRIMARY KEY,
    name text NOT NULL UNIQUE,
    category text NOT NULL,
    price integer NOT NULL CHECK (price > 0),
    stock integer NOT NULL CHECK (stock >= 0)
);

-- total is what the customer is asked to pay: the sum of the order's lines, nothing else.
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    customer text NOT NULL,
    total integer NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now(),
    placed_by text NOT NULL -- version of the service
);

CREATE TABLE order_lines (
    id bigserial PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES orders ON DELETE CASCADE,
    product_id integer NOT NULL REFERENCES products,
    quantity integer NOT NULL CHECK (quantity > 0),
    unit_price integer NOT NULL
);

CREATE INDEX ON order_lines (order_id);

INSERT INTO products (id, name, category, price, stock)
SELECT id, category || '-' || id, category, 199 + id * 37, 1000000
FROM generate_series(1, 80) AS id,
    LATERAL (SELECT (ARRAY['garden', 'books', 'tools', 'kitchen', 'books', 'music', 'kitchen', 'tools'])[1 + id % 8]) AS c (category);
