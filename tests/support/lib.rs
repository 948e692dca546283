//! What tests start and share: servers, clients, temporary databases.
