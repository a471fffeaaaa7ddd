// Every procedure of the pipeline, called well and badly by one organisation, as a JSON report: { name: outcome }.

const outcome = async (promise) => {
  try {
    return { value: await promise };
  } catch (error) {
    const fields = error.data?.zodError ? Object.keys(error.data.zodError.fieldErrors) : [];
    return { failed: [error.data?.code ?? error.message, ...fields] };
  }
};

const settle = async (named) => {
  const outcomes = await Promise.all(Object.values(named).map(outcome));
  return Object.fromEntries(Object.keys(named).map((name, index) => [name, outcomes[index]]));
};

/**
 * `given` has tokens of an `admin` and a `viewer`, and of a `stranger`'s organisation; an `apiKey`; a `listId`
 * and a `campaignId` of its account.
 */
export async function tour(makeClient, given) {
  const { connection, segments, campaigns, contacts, preferences, audit } = makeClient(given.admin).mailchimp;
  const entity = { entityId: "1", entityType: "employee" };
  const word = { ...entity, optedIn: false, consentSource: "dashboard" };
  const wanted = { name: "Sellers", segmentType: "employee", mailchimpListId: given.listId };

  const unconnected = await settle({
    noConnection: connection.get.query(),
    noAudiences: connection.listAudiences.query(),
  });
  const badKeys = await settle({
    malformedKey: connection.connect.mutate({ apiKey: "nonsense" }),
    refusedKey: connection.connect.mutate({ apiKey: `${"f".repeat(32)}-us6` }),
    nothingToDisconnect: connection.disconnect.mutate(),
  });
  const connected = await settle({ connected: connection.connect.mutate({ apiKey: given.apiKey }) });
  const made = await settle({
    created: segments.create.mutate({ ...wanted, filterCriteria: { department: "Sales" } }),
    nameless: segments.create.mutate({ ...wanted, name: "" }),
    unknownAudience: segments.create.mutate({ ...wanted, mailchimpListId: "0000000000" }),
    tracked: campaigns.trackCampaign.mutate({ mailchimpCampaignId: given.campaignId }),
    unknownCampaign: campaigns.trackCampaign.mutate({ mailchimpCampaignId: "0000000000" }),
    optedOut: preferences.updateOptStatus.mutate(word),
    unknownContact: preferences.updateOptStatus.mutate({ ...word, entityId: "01" }),
    sourceless: preferences.updateOptStatus.mutate({ ...word, consentSource: "" }),
  });
  const { id } = made.created.value;
  const changed = await settle({
    updated: segments.update.mutate({ id, name: "Sellers of Berlin", description: null }),
    asked: segments.sync.mutate({ id }),
    retried: segments.retryRejected.mutate({ id }),
    refreshed: campaigns.refreshStats.mutate({ id: made.tracked.value.id }),
    searched: preferences.findByAddress.mutate({ address: "nobody@acme.test" }),
  });
  const read = await settle({
    connection: connection.get.query(),
    audiences: connection.listAudiences.query(),
    segment: segments.get.query({ id }),
    segments: segments.list.query(),
    badPage: segments.list.query({ limit: 101 }),
    campaign: campaigns.get.query({ id: made.tracked.value.id }),
    campaigns: campaigns.list.query(),
    available: campaigns.available.query(),
    history: campaigns.history.query({ id: made.tracked.value.id }),
    rejected: segments.rejected.query({ id, limit: 10 }),
    pastSyncs: segments.history.query({ id, limit: 10 }),
    filterValues: segments.filterValues.query(),
    contactSegments: contacts.segments.query(entity),
    pendingErasures: preferences.pendingErasures.query(),
    preview: segments.preview.query({ segmentType: "employee" }),
    previewOfSync: segments.previewSync.query({ id }),
    badPreview: segments.preview.query({ segmentType: "customer" }),
    preference: preferences.getForEntity.query(entity),
    noPreference: preferences.getForEntity.query({ ...entity, entityType: "vendor" }),
    preferences: preferences.list.query({ limit: 10 }),
    badCursor: preferences.list.query({ cursor: "nonsense" }),
    audit: audit.list.query({ entityType: "segment", entityId: id }),
    halfAnEntity: audit.list.query({ entityId: id }),
  });
  const others = await settle({
    viewerMay: makeClient(given.viewer).mailchimp.segments.get.query({ id }),
    viewerMayNot: makeClient(given.viewer).mailchimp.segments.sync.mutate({ id }),
    strangerMayNot: makeClient(given.stranger).mailchimp.segments.get.query({ id }),
    anonymousMayNot: makeClient("").mailchimp.segments.get.query({ id }),
  });
  const ruled = await settle({ ruled: preferences.setConsentRule.mutate({ optInOnly: false }) });
  const rule = await settle({ rule: preferences.getConsentRule.query() });
  const exported = await settle({ exported: preferences.export.mutate(entity) });
  const erased = await settle({ erased: preferences.gdprDelete.mutate(entity) });
  const ended = await settle({ deleted: segments.delete.mutate({ id }), disconnected: connection.disconnect.mutate() });
  const gone = await settle({ gone: segments.update.mutate({ id, name: "Nobody" }) });
  const asked = { ...ruled, ...rule, ...exported, ...erased };
  return { ...unconnected, ...badKeys, ...connected, ...made, ...changed, ...read, ...others, ...asked, ...ended, ...gone };
}
