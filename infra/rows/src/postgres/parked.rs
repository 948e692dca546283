//! Dead letters.

use domain::TenantId;
use domain::ports::rows::{Commit, DeadLetter, GenerationId, ParkedEvent, RowsError, Source};
use sqlx::{PgConnection, PgPool};

use super::{Fault, no_nul, registry};
use crate::sql;

pub async fn store(tx: &mut PgConnection, commit: &Commit) -> Result<(), Fault> {
    let GenerationId { projection, number } = &commit.lease.generation;
    for letter in &commit.parked {
        if letter.error.is_some() {
            sqlx::query(sql::END_RETRY)
                .bind(&**projection)
                .bind(*number as i32)
                .bind(&letter.partition)
                .execute(&mut *tx)
                .await?;
        }
        sqlx::query(sql::PARK)
            .bind(&**projection)
            .bind(*number as i32)
            .bind(letter.position as i64)
            .bind(letter.tenant.as_str())
            .bind(&letter.partition)
            .bind(&letter.event_type)
            .bind(letter.error.as_deref().map(no_nul))
            .bind(i32::from(letter.error.is_some()))
            .execute(&mut *tx)
            .await?;
    }
    for position in &commit.unparked {
        sqlx::query(sql::UNPARK)
            .bind(&**projection)
            .bind(*number as i32)
            .bind(*position as i64)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

pub async fn list(
    pool: &PgPool,
    source: &Source,
    tenant: Option<&TenantId>,
    after: u64,
    limit: usize,
) -> Result<Vec<ParkedEvent>, Fault> {
    let mut connection = pool.acquire().await?;
    let GenerationId { projection, number } = registry::find(&mut connection, source).await?.id;
    let text = if tenant.is_some() { sql::DEAD_LETTERS_OF_TENANT } else { sql::DEAD_LETTERS };
    let mut query = sqlx::query_as(text).bind(&*projection).bind(number as i32).bind(after as i64);
    if let Some(tenant) = tenant {
        query = query.bind(tenant.as_str());
    }
    let found: Vec<Raw> = query.bind(limit as i64).fetch_all(&mut *connection).await?;
    found.into_iter().map(event).collect()
}

pub async fn request_retry(
    pool: &PgPool,
    source: &Source,
    tenant: &TenantId,
    partition: Option<&str>,
) -> Result<u64, Fault> {
    let mut connection = pool.acquire().await?;
    let GenerationId { projection, number } = registry::find(&mut connection, source).await?.id;
    let text = if partition.is_some() { sql::REQUEST_RETRY_OF_PARTITION } else { sql::REQUEST_RETRY };
    let mut query = sqlx::query(text).bind(&*projection).bind(number as i32).bind(tenant.as_str());
    if let Some(partition) = partition {
        query = query.bind(no_nul(partition));
    }
    Ok(query.execute(&mut *connection).await?.rows_affected())
}

pub async fn partitions(pool: &PgPool, id: &GenerationId) -> Result<Vec<(String, bool)>, Fault> {
    let found: Vec<(String, i32)> = sqlx::query_as(sql::PARKED_PARTITIONS)
        .bind(&*id.projection)
        .bind(id.number as i32)
        .fetch_all(pool)
        .await?;
    Ok(found.into_iter().map(|(partition, requested)| (partition, requested != 0)).collect())
}

pub async fn sequence(
    pool: &PgPool,
    id: &GenerationId,
    partition: &str,
    limit: usize,
) -> Result<Vec<ParkedEvent>, Fault> {
    let found: Vec<Raw> = sqlx::query_as(sql::PARKED_SEQUENCE)
        .bind(&*id.projection)
        .bind(id.number as i32)
        .bind(partition)
        .bind(limit as i64)
        .fetch_all(pool)
        .await?;
    found.into_iter().map(event).collect()
}

type Raw = (i64, String, String, String, Option<String>, i32, i32);

fn event(
    (position, tenant, partition, event_type, error, attempts, requested): Raw,
) -> Result<ParkedEvent, Fault> {
    let tenant = TenantId::new(&tenant).map_err(|e| RowsError::Invalid(e.to_string()))?;
    let letter = DeadLetter { tenant, partition, position: position as u64, event_type, error };
    Ok(ParkedEvent { letter, attempts: attempts as u32, retry_requested: requested != 0 })
}
