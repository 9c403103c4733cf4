// What the heartbeat checker needs in Azure, around an IoT hub that is there already: events to its webhook with dead letters kept,
// Connections logs to a workspace (and, if wanted, to an Event Hub and a storage account), the vendor's queries saved in the
// workspace, and a metric alert that still works when the checker itself does not. README.md says what each part costs.
//
//   az deployment group create --resource-group RG --template-file main.bicep \
//     --parameters hubName=HUB checkerUrl=https://checker.example/events checkerKey=KEY alertEmail=ops@example.com

targetScope = 'resourceGroup'

@description('Name of the IoT hub, in this resource group.')
param hubName string

@description('Where the hub is; the system topic must be in the same region.')
param location string = resourceGroup().location

@description('The checker\'s webhook: https, a certificate from a public authority, ending in /events.')
param checkerUrl string

@secure()
@minLength(16)
@description('The checker\'s key. It travels in a secret header and shows up neither in the portal nor in a log.')
param checkerKey string

@description('Who gets a mail when the metric alert fires; empty = nobody.')
param alertEmail string = ''

@minValue(0)
@description('The metric alert fires when fewer devices than this are connected on average over five minutes.')
param connectedDevicesMin int = 1

@description('Send telemetry to the checker too. Needed for heartbeats; each message is an Event Grid operation.')
param sendTelemetry bool = true

@description('Resource id of a Log Analytics workspace that is there already; empty = one is made.')
param workspaceId string = ''

@description('Resource id of an Event Hub namespace\'s authorization rule with Manage, Send and Listen; empty = logs go to no Event Hub.')
param eventHubAuthorizationRuleId string = ''

@description('Name of the Event Hub in that namespace; empty = the default one, insights-logs-connections.')
param eventHubName string = ''

@description('Keep the Connections log as blobs as well, for the checker\'s import verb.')
param archiveLogs bool = false

@minValue(30)
@maxValue(730)
@description('Days the workspace keeps records.')
param retentionDays int = 30

var suffix = uniqueString(resourceGroup().id, hubName)
var makeWorkspace = empty(workspaceId)

// Storage Blob Data Contributor.
var blobContributorRoleId = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

var lifecycleEvents = [
  'Microsoft.Devices.DeviceConnected'
  'Microsoft.Devices.DeviceDisconnected'
  'Microsoft.Devices.DeviceCreated'
  'Microsoft.Devices.DeviceDeleted'
]

var queries = [
  {
    name: 'errors'
    title: 'IoT devices: connection errors'
    text: loadTextContent('kql/errors.kql')
  }
  {
    name: 'device'
    title: 'IoT devices: connections of one device'
    text: loadTextContent('kql/device.kql')
  }
  {
    name: 'renewals'
    title: 'IoT devices: SDKs and token renewals'
    text: loadTextContent('kql/renewals.kql')
  }
  {
    name: 'away'
    title: 'IoT devices: gone and not come back'
    text: loadTextContent('kql/away.kql')
  }
]

resource hub 'Microsoft.Devices/IotHubs@2023-06-30' existing = {
  name: hubName
}

// Dead letters: what the checker did not take within a day. No shared keys: the topic signs in with its own identity.
resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: 'checker${suffix}'
  location: location
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    allowBlobPublicAccess: false
    // Only Azure Monitor, which writes the archive, may need one.
    allowSharedKeyAccess: archiveLogs
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'dead-letters'
  properties: {
    publicAccess: 'None'
  }
}

resource topic 'Microsoft.EventGrid/systemTopics@2022-06-15' = {
  name: '${hubName}-events'
  location: location
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    source: hub.id
    topicType: 'Microsoft.Devices.IoTHubs'
  }
}

resource mayWriteDeadLetters 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, topic.id, blobContributorRoleId)
  scope: storage
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributorRoleId)
  }
}

// The checker must be running when this is deployed: it answers the handshake.
resource toChecker 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2022-06-15' = {
  parent: topic
  name: 'heartbeat-checker'
  properties: {
    destination: {
      endpointType: 'WebHook'
      properties: {
        endpointUrl: checkerUrl
        maxEventsPerBatch: 500
        preferredBatchSizeInKilobytes: 512
        deliveryAttributeMappings: [
          {
            name: 'x-agent-key'
            type: 'Static'
            properties: {
              isSecret: true
              value: checkerKey
            }
          }
        ]
      }
    }
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: sendTelemetry ? concat(lifecycleEvents, [ 'Microsoft.Devices.DeviceTelemetry' ]) : lifecycleEvents
      isSubjectCaseSensitive: true
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          blobContainerName: deadLetters.name
          resourceId: storage.id
        }
      }
    }
  }
  dependsOn: [
    mayWriteDeadLetters
  ]
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2022-10-01' = if (makeWorkspace) {
  name: '${hubName}-logs'
  location: location
  properties: {
    retentionInDays: retentionDays
    sku: {
      name: 'PerGB2018'
    }
  }
}

resource savedQueries 'Microsoft.OperationalInsights/workspaces/savedSearches@2020-08-01' = [for query in queries: if (makeWorkspace) {
  parent: workspace
  name: 'checker-${query.name}'
  properties: {
    category: 'Heartbeat checker'
    displayName: query.title
    query: query.text
    version: 2
  }
}]

// Nothing is collected until this exists. Only Connections: the other categories cost and tell the checker nothing.
resource connections 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'heartbeat-checker'
  scope: hub
  properties: {
    workspaceId: makeWorkspace ? workspace.id : workspaceId
    eventHubAuthorizationRuleId: empty(eventHubAuthorizationRuleId) ? null : eventHubAuthorizationRuleId
    eventHubName: empty(eventHubName) ? null : eventHubName
    storageAccountId: archiveLogs ? storage.id : null
    logs: [
      {
        category: 'Connections'
        enabled: true
      }
    ]
  }
}

resource onCall 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(alertEmail)) {
  name: '${hubName}-on-call'
  location: 'global'
  properties: {
    enabled: true
    groupShortName: 'heartbeats'
    emailReceivers: [
      {
        name: 'on-call'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
  }
}

// The second pair of eyes: coarse (a number, no names) and slow (minutes), but it does not depend on the checker.
resource tooFewConnected 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${hubName}-too-few-connected'
  location: 'global'
  properties: {
    description: 'Fewer devices are connected than should be. Ask the heartbeat checker which, and whether it is still alive itself.'
    severity: 1
    enabled: true
    scopes: [
      hub.id
    ]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'connected'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'Microsoft.Devices/IotHubs'
          metricName: 'connectedDeviceCount'
          operator: 'LessThan'
          threshold: connectedDevicesMin
          timeAggregation: 'Average'
        }
      ]
    }
    actions: empty(alertEmail) ? [] : [
      {
        actionGroupId: onCall.id
      }
    ]
  }
}

output topicName string = topic.name
output deadLetterContainer string = '${storage.properties.primaryEndpoints.blob}${deadLetters.name}'
output workspaceResourceId string = makeWorkspace ? workspace.id : workspaceId
