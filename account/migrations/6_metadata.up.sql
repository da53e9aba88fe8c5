-- The public metadata of Clerk's users: an object, which their frontends may read
-- and this application's backend alone may change, at Clerk.
ALTER TABLE users ADD public_metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(public_metadata) = 'object');
