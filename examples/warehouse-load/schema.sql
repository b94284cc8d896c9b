-- The warehouse, as its owner makes it before the task comes.

CREATE TABLE public.orders (
    id        text PRIMARY KEY,
    customer  text NOT NULL,
    product   text NOT NULL,
    quantity  int NOT NULL CHECK (quantity > 0),
    amount    numeric(12, 2) NOT NULL CHECK (amount >= 0),
    currency  char(3) NOT NULL,
    placed_at timestamptz NOT NULL,
    status    text NOT NULL CHECK (status IN ('open', 'shipped', 'paid', 'returned'))
);

CREATE SCHEMA staging;

-- Rows stand here within one transaction only, so it needs no log of its own.
CREATE UNLOGGED TABLE staging.orders (LIKE public.orders);
