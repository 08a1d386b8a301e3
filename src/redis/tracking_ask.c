
/*
 * A question whose answer comes behind all changes that were made before it.
 *
 *   source: the question -> listeners of all masters: PING -> settled
 *
 * Pushes and answers come on different connections.  When Redis answers a PING
 * of a listener, it has sent there all that it pushes for what was changed in
 * the turns of its event loop before.
 */


#include "redis/tracking_priv.h"

#include "core/grant_key.h"


static perm_redis_pair_t *perm_redis_tracking_owner(
    perm_redis_tracking_t *tracking, ngx_str_t *key);
static void perm_redis_tracking_answer(void *data, redisReply *reply);
static void perm_redis_tracking_settle(perm_redis_tracking_t *tracking);
static void perm_redis_tracking_pong(void *data, redisReply *reply);
static void perm_redis_tracking_end(perm_redis_tracking_t *tracking);


void
perm_redis_tracking_question(perm_redis_tracking_t *tracking,
    perm_redis_question_t *question)
{
    tracking->question = question;
}


void
perm_redis_tracking_ask(perm_redis_tracking_t *tracking)
{
    perm_redis_pair_t      *pair;
    perm_redis_question_t  *question;

    if (!tracking->active) {
        return;
    }

    if (tracking->asking) {
        tracking->again = 1;
        return;
    }

    question = tracking->question;

    pair = perm_redis_tracking_owner(tracking, &question->argv[1]);
    if (pair == NULL) {
        return;
    }

    question->asking(question->data);

    if (perm_redis_connection_send(pair->source, question->argc, question->argv,
                                   perm_redis_tracking_answer, pair)
        == NULL)
    {
        return;
    }

    pair->questions++;
    tracking->asking = 1;
}


/* the pair of the master that has the key, or NULL */

static perm_redis_pair_t *
perm_redis_tracking_owner(perm_redis_tracking_t *tracking, ngx_str_t *key)
{
    perm_str_t          name;
    perm_redis_node_t  *node;
    perm_redis_pair_t  *pair;

    name.len = key->len;
    name.data = (const char *) key->data;

    node = perm_redis_discovery_slot(tracking->discovery,
                                     perm_grant_key_slot(name));
    if (node == NULL) {
        return NULL;
    }

    for (pair = tracking->pairs; pair != NULL; pair = pair->next) {

        if (pair->source && perm_redis_conf_node_equal(&pair->node, node)) {
            return pair;
        }
    }

    return NULL;
}


/* those that were on their way when tracking was lost are passed over */

static void
perm_redis_tracking_answer(void *data, redisReply *reply)
{
    perm_redis_pair_t *pair = data;

    perm_redis_tracking_t  *tracking;
    perm_redis_question_t  *question;

    if (reply == NULL) {
        return;
    }

    tracking = pair->tracking;
    question = tracking->question;

    if (--pair->questions > 0 || !tracking->asking) {
        return;
    }

    if (question->answer(question->data, reply) == NGX_OK) {
        perm_redis_tracking_settle(tracking);

    } else {
        perm_redis_tracking_end(tracking);
    }
}


static void
perm_redis_tracking_settle(perm_redis_tracking_t *tracking)
{
    perm_redis_pair_t  *pair;

    static ngx_str_t  ping = ngx_string("PING");

    for (pair = tracking->pairs; pair != NULL; pair = pair->next) {

        if (pair->listener == NULL
            || perm_redis_connection_send(pair->listener, 1, &ping,
                                          perm_redis_tracking_pong, pair)
               == NULL)
        {
            perm_redis_tracking_end(tracking);
            return;
        }

        pair->settling++;
    }
}


static void
perm_redis_tracking_pong(void *data, redisReply *reply)
{
    perm_redis_pair_t *pair = data;

    perm_redis_tracking_t  *tracking;
    perm_redis_question_t  *question;

    if (reply == NULL) {
        return;
    }

    tracking = pair->tracking;
    question = tracking->question;
    pair->settling--;

    if (!tracking->asking) {
        return;
    }

    /* a script that runs for long may have changed what it did not push yet */

    if (reply->type == REDIS_REPLY_ERROR && !perm_reply_error(reply, "NOPERM"))
    {
        perm_redis_tracking_end(tracking);
        return;
    }

    for (pair = tracking->pairs; pair != NULL; pair = pair->next) {

        if (pair->settling || pair->questions) {
            return;
        }
    }

    if (question->settled(question->data) == NGX_AGAIN) {
        tracking->again = 1;
    }

    perm_redis_tracking_end(tracking);
}


static void
perm_redis_tracking_end(perm_redis_tracking_t *tracking)
{
    tracking->asking = 0;

    if (tracking->again) {
        tracking->again = 0;
        perm_redis_tracking_ask(tracking);
    }
}
