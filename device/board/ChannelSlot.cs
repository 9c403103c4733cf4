// M2Mqtt makes its own channel and has no public way to take another one (facts/nanoframework.md section 6). The place where it
// keeps it is a private field of a public interface type. Setting that field by reflection works (RAN, nf-baseline.md section 1,
// rows 4 and 5) but is a dependency on somebody else's insides, so it is tried once at start: put a channel in, read it back.
// When the field is gone, or the interpreter was built without reflection, the answer is no, the agent says so, uses the
// library's own channel and renews cleanly.
using System;
using System.Reflection;
using nanoFramework.M2Mqtt;

namespace Agent.Board
{
    /// <summary>The place in an MqttClient where a channel can be put.</summary>
    public sealed class ChannelSlot
    {
        private const string FieldName = "_channel";

        private readonly FieldInfo field;

        private ChannelSlot(FieldInfo field)
        {
            this.field = field;
        }

        /// <summary>Finds the slot and tries it out; null when there is none that works.</summary>
        public static ChannelSlot Detect()
        {
            try
            {
                FieldInfo field = typeof(MqttClient).GetField(FieldName, BindingFlags.NonPublic | BindingFlags.Instance);
                if (field == null)
                {
                    return null;
                }

                ChannelSlot slot = new ChannelSlot(field);
                MqttClient client = new MqttClient("127.0.0.1");
                HubChannel probe = new HubChannel("127.0.0.1", 1);
                slot.Put(client, probe);
                return field.GetValue(client) == probe ? slot : null;
            }
            catch (Exception)
            {
                return null;
            }
        }

        public void Put(MqttClient client, HubChannel channel)
        {
            field.SetValue(client, channel);
        }
    }
}
